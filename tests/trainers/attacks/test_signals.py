"""SIGTERM and SIGHUP in the midst of a training: its state is saved, and `--resume` goes on."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from trainers import train

TRAINING = """
import sys
from featurestore.cli import main
from trainers.training import loop
step = loop.take_step
def told(*args):
    output = step(*args)
    print("step", flush=True)
    sys.stdin.read()  # until the signal came
    return output
loop.take_step = told
main()
"""
TINY = [
    *("--method", "simclr", "--backbone", "conv4", "--image-size", "16", "--batch-size", "8", "--precision", "32-true"),
    *("--set", "simclr.hidden=16", "--set", "simclr.dim=8", "--device", "cpu", "--epochs", "2"),
]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_training_that_is_ended_goes_on_by_resume(few_shapes: Path, tmp_path: Path, number: signal.Signals) -> None:
    out, pipe, root = tmp_path / "run", subprocess.PIPE, Path(__file__).parents[3]
    command = [sys.executable, "-c", TRAINING, "train", str(few_shapes), "--out", str(out), *TINY]
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True, cwd=root) as run:
        assert run.stdout is not None
        while run.stdout.readline() != "step\n":
            assert run.poll() is None
        run.send_signal(number)
        _, errors = run.communicate(timeout=120)
    assert run.returncode == 128 + number
    assert errors.splitlines()[-1] == f"featurestore: interrupted; the state is saved in {out}: go on with --resume"
    assert sorted(path.name for path in out.iterdir()) == ["checkpoint.pt", "config.toml", "metrics.jsonl"]
    assert [line["epoch"] for line in train(few_shapes, out, resume=True).metrics] == [1, 2]
