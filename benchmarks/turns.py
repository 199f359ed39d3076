"""Measurements in processes of their own, taking turns."""

import importlib
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import click

Side = tuple[Callable[..., Any], *tuple[Any, ...]]  # a measurement and its arguments
LOOK_SECONDS = 0.01  # between two looks at the memory of a process


@dataclass
class Peak:
    """The most memory that a process held, in MB."""

    resident: float = 0.0  # with the pages of mapped files, which the kernel takes away when others need the room
    own: float = 0.0  # without them
    shared: float = 0.0  # of the process and its children, pages that they share counted once


def measure(what: Callable[..., Any], *arguments: Any, peak: Peak | None = None) -> Any:
    """Call a function in a new process; arguments and result travel as JSON. `peak` is told of its memory (Linux)."""
    text = json.dumps(arguments, default=str)
    command = [sys.executable, "-m", "benchmarks.turns", what.__module__, what.__name__, text]
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = subprocess.Popen(command, stdout=out, stderr=err)
        while peak is not None and process.poll() is None:
            _look(process.pid, peak)
            time.sleep(LOOK_SECONDS)
        if process.wait():
            err.seek(0)
            raise click.ClickException(f"{what.__name__}: {(err.read().strip().splitlines() or ['it was killed'])[-1]}")
        out.seek(0)
        return json.loads(out.read().splitlines()[-1])


def _look(process: int, peak: Peak) -> None:
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
        family = _family(process)
        if len(family) > 1:  # looking at shares takes long
            peak.shared = max(peak.shared, sum(map(_share, family)))
    except (FileNotFoundError, ProcessLookupError):
        return  # it has just ended
    kilobytes = {line.split(":")[0]: float(line.split()[1]) for line in lines if line.endswith(" kB")}
    peak.resident = max(peak.resident, kilobytes.get("VmHWM", 0.0) / 1024)
    peak.shared = max(peak.shared, peak.resident)
    peak.own = max(peak.own, (kilobytes.get("RssAnon", 0.0) + kilobytes.get("RssShmem", 0.0)) / 1024)


def _family(process: int) -> list[int]:
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [process, *(one for child in children for one in _family(int(child)))]


def _share(process: int) -> float:
    """Proportional set size, in MB."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def take_turns(runs: int, sides: dict[str, Side]) -> dict[str, list[Any]]:
    """Measure all sides once, then all again, `runs` times."""
    found: dict[str, list[Any]] = {name: [] for name in sides}
    for turn, (name, side) in product(range(runs), sides.items()):
        found[name].append(measure(*side))
        click.echo(f"{turn + 1}/{runs} {name}: {_in_short(found[name][-1])}", err=True)
    return found


def _in_short(figures: float | dict[str, float]) -> str:
    if isinstance(figures, dict):
        return ", ".join(f"{name} {value:.4g}" for name, value in figures.items())
    return f"{figures:.4g}"


if __name__ == "__main__":
    module, name, text = sys.argv[1:]
    print("\n" + json.dumps(getattr(importlib.import_module(module), name)(*json.loads(text))))
