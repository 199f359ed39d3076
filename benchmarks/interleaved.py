"""Interleaved runs: each measurement in its own process, all of them once, then all again, so that a busy machine slows all alike.

Not a benchmark itself. `python -m benchmarks.interleaved MODULE FUNCTION ARGUMENTS` is what a measuring process runs.
"""

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

Call = tuple[Callable[..., Any], *tuple[Any, ...]]  # a measurement and its arguments
SAMPLE_SECONDS = 0.01  # between two samples of a process's memory


@dataclass
class PeakMemory:
    """The most memory that a process held, in MB."""

    resident: float = 0.0  # with pages of mapped files, which the kernel takes back when it needs them
    own: float = 0.0  # without them
    shared: float = 0.0  # of the process and its children; shared pages count once


def measure(what: Callable[..., Any], *arguments: Any, peak: PeakMemory | None = None) -> Any:
    """Call a function in a new process. Arguments and result travel as JSON; `peak` receives the memory it used (Linux)."""
    text = json.dumps(arguments, default=str)
    command = [sys.executable, "-m", "benchmarks.interleaved", what.__module__, what.__name__, text]
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = subprocess.Popen(command, stdout=out, stderr=err)
        while peak is not None and process.poll() is None:
            _sample(process.pid, peak)
            time.sleep(SAMPLE_SECONDS)
        if process.wait():
            err.seek(0)
            last = (err.read().strip().splitlines() or ["killed"])[-1]
            raise click.ClickException(f"{what.__name__} failed: {last}")
        out.seek(0)
        return json.loads(out.read().splitlines()[-1])


def measure_with_memory(what: Callable[..., Any], *arguments: Any) -> dict[str, float]:
    """Call a function in a new process: its figure as `value`, and the peak memory of it and its children as `memory` in MB."""
    peak = PeakMemory()
    return {"value": measure(what, *arguments, peak=peak), "memory": peak.shared}


def run_interleaved(runs: int, calls: dict[str, Call], measure: Callable[..., Any] = measure) -> dict[str, list[Any]]:
    """Measure every call once, then all again, `runs` times. Figures of each call in the order of the runs."""
    figures: dict[str, list[Any]] = {name: [] for name in calls}
    for run, (name, call) in product(range(runs), calls.items()):
        figures[name].append(measure(*call))
        click.echo(f"{run + 1}/{runs} {name}: {_short(figures[name][-1])}", err=True)
    return figures


def _short(figures: float | dict[str, float]) -> str:
    if isinstance(figures, dict):
        return ", ".join(f"{name} {value:.4g}" for name, value in figures.items())
    return f"{figures:.4g}"


def _sample(process: int, peak: PeakMemory) -> None:
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
        family = _family(process)
        if len(family) > 1:  # reading shares of pages is slow
            peak.shared = max(peak.shared, sum(map(_proportional_set_size, family)))
    except (FileNotFoundError, ProcessLookupError):
        return  # it has just ended
    kilobytes = {line.split(":")[0]: float(line.split()[1]) for line in lines if line.endswith(" kB")}
    peak.resident = max(peak.resident, kilobytes.get("VmHWM", 0.0) / 1024)
    peak.shared = max(peak.shared, peak.resident)
    peak.own = max(peak.own, (kilobytes.get("RssAnon", 0.0) + kilobytes.get("RssShmem", 0.0)) / 1024)


def _family(process: int) -> list[int]:
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return [process, *(one for child in children for one in _family(int(child)))]


def _proportional_set_size(process: int) -> float:
    """Proportional set size in MB."""
    lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


if __name__ == "__main__":
    module, name, text = sys.argv[1:]
    print("\n" + json.dumps(getattr(importlib.import_module(module), name)(*json.loads(text))))
