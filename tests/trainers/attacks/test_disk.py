"""A disk that is full or broken at the nth write of a training: one line, the last checkpoint is whole, and `resume` goes on."""

import errno
import os
import resource
import shutil
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
import torch

import trainers.run
from featurestore.encoders.card import Card
from featurestore.errors import DiskError, FeatureStoreError, TrainingError
from featurestore.system.disk import atomic_write
from tests.featurestore.attacks.failing import FailingDisk
from tests.featurestore.children import Child
from tests.trainers.runs import TINY
from trainers import train
from trainers.data import images
from trainers.training import checkpoint

pytestmark = pytest.mark.slow


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> None:
    """A checkpoint after each step, pixels in a file, and small files in place of encoder and curves."""

    def write(out: Path) -> Path:
        with atomic_write(out, "free some space, then go on with --resume") as file:
            file.write(b"content")
        return out

    monkeypatch.setattr(checkpoint, "INTERVAL", 0.0)
    monkeypatch.setattr(images, "IN_MEMORY", 0)
    monkeypatch.setattr(trainers.run, "export", lambda backbone, card, out: write(out))
    monkeypatch.setattr(trainers.run, "draw", lambda metrics, title, out: write(out))


def test_a_write_that_fails_costs_a_training_nothing(few_shapes: Path, tmp_path: Path, often: None) -> None:
    out = tmp_path / "runs" / "run"
    out.parent.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        disk = FailingDisk(out.parent, patch, nth=-1)
        expected = checkpoint.load(train(few_shapes, out, epochs=2, **TINY).out / "checkpoint.pt")
    resumed, powers = 0, [1 << n for n in range(disk.calls.bit_length())]
    for nth in sorted({*powers, *(disk.calls + 1 - power for power in powers)}):  # most are in checkpoints
        shutil.rmtree(out, ignore_errors=True)
        code = (errno.ENOSPC, errno.EIO)[nth % 2]
        said, run = f"only what tidies up: {os.strerror(code)}", None
        with pytest.MonkeyPatch.context() as patch:
            FailingDisk(out.parent, patch, nth, code)
            try:
                run = train(few_shapes, out, epochs=2, **TINY)
            except (DiskError, TrainingError) as error:
                said = str(error)
        assert os.strerror(code) in said
        assert "\n" not in said
        assert list(out.glob("*.part*")) == []
        saved = (out / "checkpoint.pt").exists()
        resumed += saved and run is None
        if not saved:
            shutil.rmtree(out, ignore_errors=True)
        run = run or train(few_shapes, out, resume=saved, **({} if saved else {"epochs": 2, **TINY}))
        found = checkpoint.load(run.out / "checkpoint.pt")
        assert all(torch.equal(found["method"][name], value) for name, value in expected["method"].items())
        assert [line["epoch"] for line in run.metrics] == [1, 2]
        assert run.encoder.read_bytes() == b"content"
    assert resumed >= 5


def go_on_with_small_files(pipe: Connection, source: Path, out: Path, limit: int) -> None:
    """Go on with a training where no file may grow beyond `limit` bytes."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    try:
        train(source, out, resume=True, epochs=2)
    except FeatureStoreError as error:
        pipe.send(f"{type(error).__name__}: {error}")


@pytest.mark.parametrize("limit", [100, 100_000])
def test_a_checkpoint_that_cannot_grow_leaves_the_last_one(
    few_shapes: Path, tmp_path: Path, no_export: list[Card], limit: int
) -> None:
    out = train(few_shapes, tmp_path / "run", epochs=1, **TINY).out
    before = (out / "checkpoint.pt").read_bytes()
    with Child(go_on_with_small_files, few_shapes, out, limit) as child:
        said = child.hear(120)
    assert said.startswith(
        f"TrainingError: checkpoint {out / 'checkpoint.pt'} could not be written ({os.strerror(errno.EFBIG)}); "
    )
    assert "free some space, then go on with --resume" in said
    assert (out / "checkpoint.pt").read_bytes() == before
    assert [line["epoch"] for line in train(few_shapes, out, resume=True, epochs=2).metrics] == [1, 2]
