"""Running the command line within a test, and in a process that gets a signal."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

Run = Callable[..., tuple[int, str, str]]


def answer(run: Run, *arguments: str | Path) -> Any:
    status, out, err = run(*arguments, "--json")
    assert (status, err) == (0, "")
    return json.loads(out)


HELD = """
import sys
from {module} import {owner}
from featurestore.cli import main
work = {owner}.{function}
def held(*args, **named):
    done = work(*args, **named)
    print("within", flush=True)
    sys.stdin.read()  # until the signal came
    return done
{owner}.{function} = held
main()
"""


def ended_within(
    module: str, owner: str, function: str, number: signal.Signals, *arguments: object, **variables: str
) -> tuple[int, str]:
    """Run a command in a process, send it a signal when it has called `function` of `owner`; returns its exit status and its errors.

    variables: of its environment.
    """
    return script_ended(HELD.format(module=module, owner=owner, function=function), number, *arguments, **variables)


def script_ended(script: str, number: signal.Signals, *arguments: object, **variables: str) -> tuple[int, str]:
    """Run a script in a process, and send it a signal when it says that it is within."""
    command, pipe = [sys.executable, "-c", script, *map(str, arguments)], subprocess.PIPE
    root = Path(__file__).parents[2]
    environment = {**os.environ, **variables}
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=root, env=environment) as run:
        assert run.stdout is not None
        while run.stdout.readline() != "within\n":
            assert run.poll() is None
        run.send_signal(number)
        _, errors = run.communicate(timeout=120)
    return run.returncode, errors.strip()
