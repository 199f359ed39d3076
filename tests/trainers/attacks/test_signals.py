"""SIGTERM and SIGHUP in the midst of a training: its state is saved, and `--resume` goes on."""

import signal
from pathlib import Path

import pytest

from tests.featurestore.commands import ended_within
from trainers import train

TINY = [
    *("--method", "simclr", "--backbone", "conv4", "--image-size", "16", "--batch-size", "8", "--precision", "32-true"),
    *("--set", "simclr.hidden=16", "--set", "simclr.dim=8", "--device", "cpu", "--epochs", "2"),
]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_training_that_is_ended_goes_on_by_resume(few_shapes: Path, tmp_path: Path, number: signal.Signals) -> None:
    out = tmp_path / "run"
    arguments = ["train", few_shapes, "--out", out, *TINY]
    status, errors = ended_within("trainers.training", "loop", "take_step", number, *arguments)
    assert status == 128 + number
    assert errors.splitlines()[-1] == f"featurestore: interrupted; the state is saved in {out}: go on with --resume"
    assert sorted(path.name for path in out.iterdir()) == ["checkpoint.pt", "config.toml", "metrics.jsonl"]
    assert [line["epoch"] for line in train(few_shapes, out, resume=True).metrics] == [1, 2]
