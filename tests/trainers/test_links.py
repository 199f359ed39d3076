"""Links in the folder of a run lead nowhere, whatever writes there."""

from collections.abc import Callable
from pathlib import Path

import pytest

from featurestore.encoders.encoder import Encoder
from featurestore.errors import ConfigError, DiskError
from tests.trainers.methods import shapes
from tests.trainers.runs import TINY
from trainers import train
from trainers.finetuning.finished_cells import FinishedCells
from trainers.training import checkpoint, curves
from trainers.training.metrics_file import MetricsFile, _tensorboard

LINE = {"step": 1, "epoch": 1, "loss": 0.5}
WRITERS: dict[str, Callable[[Path], object]] = {
    "checkpoint.pt": lambda path: checkpoint.save(path, {"step": 1}),
    "curves.png": lambda path: curves.draw([LINE], "a run", path),
    "metrics.jsonl": lambda path: MetricsFile(path.parent, 0).append(LINE),
}


def target_of(path: Path) -> Path:
    """Leave links at a name, and at the one it had before in older versions; gives what they lead to."""
    target = path.parent.parent / "target"
    target.write_text("mine")
    path.parent.mkdir()
    for link in (path, path.with_name(f"{path.name}.part")):
        link.symlink_to(target)
    return target


@pytest.mark.parametrize("name", WRITERS)
def test_a_file_of_a_run_replaces_a_link(tmp_path: Path, name: str) -> None:
    path = tmp_path / "run" / name
    target = target_of(path)
    WRITERS[name](path)
    assert target.read_text() == "mine"
    assert path.is_file()
    assert not path.is_symlink()


def test_a_line_is_not_appended_through_a_link(tmp_path: Path) -> None:
    metrics = MetricsFile(tmp_path, 0)
    (tmp_path / "target").touch()
    (tmp_path / "metrics.jsonl").unlink()
    (tmp_path / "metrics.jsonl").symlink_to(tmp_path / "target")
    with pytest.raises(DiskError, match=r"metrics\.jsonl could not be written \(it is a symbolic link\)"):
        metrics.append(LINE)
    (tmp_path / "cells.jsonl").symlink_to(tmp_path / "target")
    with pytest.raises(DiskError, match=r"cells\.jsonl could not be written \(it is a symbolic link\)"):
        FinishedCells(tmp_path / "cells.jsonl").get({"share": 1}, lambda: 0.5)
    assert (tmp_path / "target").read_text() == ""


def test_logs_of_tensorboard_are_not_written_through_a_link(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    (tmp_path / "target").mkdir()
    (tmp_path / "tensorboard").symlink_to(tmp_path / "target")
    with pytest.raises(ConfigError, match="expected a folder for the logs of TensorBoard, found a link"):
        _tensorboard(tmp_path)
    assert list((tmp_path / "target").iterdir()) == []


@pytest.mark.slow
def test_a_whole_training_replaces_links(tmp_path: Path) -> None:
    source = shapes.write(tmp_path / "few", train=6, test=2)
    names = ("encoder.onnx", "config.toml", "curves.png")
    (tmp_path / "target").write_text("mine")
    (tmp_path / "run").mkdir()
    for name in (*names, *(f"{name}.part" for name in names), "checkpoint.pt.part", "metrics.jsonl.part"):
        (tmp_path / "run" / name).symlink_to(tmp_path / "target")
    run = train(source, tmp_path / "run", epochs=1, **TINY)
    assert (tmp_path / "target").read_text() == "mine"
    assert not any((run.out / name).is_symlink() for name in (*names, "metrics.jsonl"))
    assert Encoder(run.encoder).dim > 0
