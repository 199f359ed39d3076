"""Checkpoints: whole or not there, and nothing in them is run."""

from pathlib import Path

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


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), RuntimeError("No space left: torch's words")]
)
def test_a_checkpoint_that_cannot_be_written_leaves_the_one_before(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "checkpoint.pt"
    state = {"method": {}, "step": 1, "seconds": 1.0, "images": 1, "sha256": ""}
    checkpoint.save(path, state)

    def full(_: object, file: Path) -> None:
        file.write_bytes(b"half of it")
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(torch, "save", full)
        with pytest.raises(TrainingError, match=r"No space left.*; free some space, then go on with --resume"):
            checkpoint.save(path, {"step": 2})
    assert checkpoint.load(path) == state
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint.pt"]
