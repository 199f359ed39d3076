"""Checkpoints: whole or not there, and nothing in them is run."""

from pathlib import Path
from typing import Any, BinaryIO

import pytest
import torch

from featurestore.errors import TrainingError
from tests.trainers.runs import TINY, Notes
from trainers import train
from trainers.export.training_run import export_run
from trainers.training import checkpoint


@pytest.mark.usefixtures("no_export")
def test_a_damaged_checkpoint_is_named_and_pickled_code_is_not_run(few_shapes: Path, tmp_path: Path) -> None:
    train(few_shapes, tmp_path / "run", epochs=1, **TINY)
    path = tmp_path / "run" / "checkpoint.pt"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(TrainingError, match="cannot be read"):
        export_run(tmp_path / "run", tmp_path / "x.onnx")
    torch.save({"method": Notes()}, path)  # an arbitrary object
    with pytest.raises(TrainingError, match="cannot be read"):
        export_run(tmp_path / "run", tmp_path / "x.onnx")


def test_a_flipped_bit_of_a_checkpoint_is_named(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    state: dict[str, Any] = {
        "method": {"weights": torch.arange(1000.0)},
        "step": 3,
        "seconds": 1.0,
        "images": 1,
        "sha256": "",
    }
    checkpoint.save(path, state)
    whole = path.read_bytes()
    assert checkpoint.load(path)["step"] == 3
    for place in range(0, len(whole), 97):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 8]) + whole[place + 1 :])
        try:
            state = checkpoint.load(path)
        except TrainingError:
            continue
        assert state["step"] == 3  # the bit was in bytes that are not read
        assert torch.equal(state["method"]["weights"], torch.arange(1000.0))


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), RuntimeError("No space left: torch's words")]
)
def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "checkpoint.pt"
    state = {"method": {}, "step": 1, "seconds": 1.0, "images": 1, "sha256": ""}
    checkpoint.save(path, state)

    def full(_: object, file: BinaryIO) -> None:
        file.write(b"half of it")
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full)
        with pytest.raises(TrainingError, match=r"No space left.*; free some space, then go on with --resume"):
            checkpoint.save(path, {"step": 2})
    assert checkpoint.load(path) == state
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.pt"]
