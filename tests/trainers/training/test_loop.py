"""The loop: how long it goes on, what it saves, and how it stops."""

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from featurestore.errors import Interrupted, TrainingError
from tests.trainers.runs import TINY, Notes, fails
from trainers import train
from trainers.config.resolve import resolve
from trainers.methods.base import Step
from trainers.methods.simclr import SimCLR
from trainers.run import Run
from trainers.training import checkpoint, progress_line

pytestmark = pytest.mark.usefixtures("no_export")
Patch = pytest.MonkeyPatch


def metrics_of(run: Path) -> list[dict[str, Any]]:
    return Run(run, resolve()).metrics


def change_loss(patch: Patch, change: Callable[[SimCLR, Any, Any, Step], Step]) -> None:
    """Let SimCLR's loss be what `change` makes of it, given the method, the views and the progress."""
    genuine = SimCLR.loss
    patch.setattr(SimCLR, "loss", lambda self, views, at: change(self, views, at, genuine(self, views, at)))


def to_nan(step: Step) -> Step:
    return step._replace(loss=step.loss * float("nan"))


def test_minutes_bound_the_training(few_shapes: Path, tmp_path: Path) -> None:
    run = train(few_shapes, tmp_path / "run", minutes=0.005, **TINY)
    assert run.metrics[-1]["fraction"] == 1.0
    assert run.metrics[-1]["seconds"] >= 0.3
    assert run.metrics[0]["fraction"] < 1.0 or len(run.metrics) == 1


def test_resumed_equals_never_stopped(few_shapes: Path, tmp_path: Path) -> None:
    settings = {**TINY, "method": "byol", "epochs": 3}
    settings["byol"] = settings.pop("simclr")
    before = signal.getsignal(signal.SIGINT)
    whole = train(few_shapes, tmp_path / "whole", **settings)
    first = checkpoint.load(whole.out / "checkpoint.pt")
    for stop in (1, 2, 4):  # heard one step later: within an epoch, at its end, within the next
        out = tmp_path / f"stopped after {stop}"
        with pytest.raises(Interrupted, match="--resume"):
            train(few_shapes, out, listener=Notes(interrupt_after=stop), **settings)
        assert signal.getsignal(signal.SIGINT) is before
        parts = train(few_shapes, out, resume=True)
        second = checkpoint.load(out / "checkpoint.pt")
        assert first["step"] == second["step"] == 9
        assert all(torch.equal(value, second["method"][name]) for name, value in first["method"].items())
        assert [m["epoch"] for m in parts.metrics] == [1, 2, 3]
        assert parts.metrics[-1]["loss"] == whole.metrics[-1]["loss"]


def test_a_checkpoint_is_written_within_an_epoch(few_shapes: Path, tmp_path: Path, monkeypatch: Patch) -> None:
    """A killed run goes on from there, not from the end of the last epoch."""
    saved: list[int] = []
    genuine = checkpoint.save

    def watched(path: Path, state: dict[str, Any]) -> None:
        saved.append(state["step"])
        genuine(path, state)

    monkeypatch.setattr(checkpoint, "save", watched)
    monkeypatch.setattr(checkpoint, "INTERVAL", 0.0)
    train(few_shapes, tmp_path / "run", epochs=2, **TINY)
    assert saved == [1, 2, 3, 4, 5, 6]


def test_a_loss_that_is_not_a_number_stops_the_run(few_shapes: Path, tmp_path: Path, monkeypatch: Patch) -> None:
    change_loss(monkeypatch, lambda method, views, at, step: to_nan(step))
    fails(TrainingError, ["nan", "optimizer.lr"], few_shapes, tmp_path / "run")


def test_weights_that_are_not_numbers_do_not_replace_good_ones(
    few_shapes: Path, tmp_path: Path, monkeypatch: Patch
) -> None:
    change_loss(monkeypatch, lambda method, views, at, step: to_nan(step) if at.step == 1 else step)
    monkeypatch.setattr(checkpoint, "INTERVAL", 0.0)
    monkeypatch.setattr(progress_line, "INTERVAL", 1e9)
    fails(TrainingError, ["the loss became nan"], few_shapes, tmp_path / "run")
    assert checkpoint.load(tmp_path / "run" / "checkpoint.pt")["step"] == 1


def test_a_collapse_is_reported_once_and_can_end_the_run(few_shapes: Path, tmp_path: Path, monkeypatch: Patch) -> None:
    notes = Notes()
    train(few_shapes, tmp_path / "healthy", epochs=3, listener=notes, **TINY)
    assert not any("collapse" in line for line in notes.lines)
    change_loss(monkeypatch, lambda method, views, at, step: step._replace(projections=torch.ones(8, 4)))
    train(few_shapes, tmp_path / "broken", epochs=3, listener=notes, **TINY)
    assert sum("collapse" in line for line in notes.lines) == 1
    with pytest.raises(TrainingError, match=r"stopped on a collapse.*nearly equal"):
        train(few_shapes, tmp_path / "stopped", epochs=3, stop_on_collapse=True, **TINY)
    assert len(metrics_of(tmp_path / "stopped")) == 1


def test_parts_too_small_for_batch_statistics_are_refused(few_shapes: Path, tmp_path: Path) -> None:
    fails(TrainingError, ["8", "5 parts", "--accumulate"], few_shapes, tmp_path / "run", accumulate=5)


def test_tensorboard_logs_are_written_when_asked(few_shapes: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    run = train(few_shapes, tmp_path / "run", epochs=1, tensorboard=True, **TINY)
    assert any(p.name.startswith("events") for p in (run.out / "tensorboard").iterdir())


@pytest.mark.parametrize("length", [{"epochs": 1}, {"minutes": 1e-6}])
def test_ctrl_c_in_the_last_step_keeps_the_whole_run(length: dict[str, Any], few_shapes: Path, tmp_path: Path) -> None:
    last = 3 if "epochs" in length else 1
    with pytest.raises(Interrupted, match="--resume"):
        train(few_shapes, tmp_path / "run", listener=Notes(interrupt_after=last), **length, **TINY)
    run = train(few_shapes, tmp_path / "run", resume=True)
    assert [line["fraction"] for line in run.metrics] == [1.0]
    assert (run.out / "curves.png").exists()


def test_ctrl_c_works_while_the_k_nn_figure_is_computed(few_shapes: Path, tmp_path: Path, monkeypatch: Patch) -> None:
    def press(backbone: object) -> dict[str, float]:
        signal.raise_signal(signal.SIGINT)
        return {"knn_top1": 0.5}

    monkeypatch.setattr("trainers.training.monitor.knn_monitor", lambda *_: press)
    with pytest.raises(Interrupted):
        train(few_shapes, tmp_path / "run", epochs=2, labels="folders", **TINY)
    assert [line["epoch"] for line in metrics_of(tmp_path / "run")] == [1]


def test_progress_shows_how_long_steps_wait_for_images(few_shapes: Path, tmp_path: Path, monkeypatch: Patch) -> None:
    details: list[str] = []
    monkeypatch.setattr(Notes, "advance", lambda self, amount=1, detail="": details.append(detail))
    monkeypatch.setattr(progress_line, "INTERVAL", 0.0)
    train(few_shapes, tmp_path / "run", epochs=1, listener=Notes(), **TINY)
    assert "images/s  wait " in details[-1]
    assert details[-1].endswith("%")


def test_little_of_the_minutes_goes_into_the_k_nn_figure(few_shapes: Path, tmp_path: Path, monkeypatch: Patch) -> None:
    evaluated: list[object] = []

    def slow(backbone: object) -> dict[str, float]:
        time.sleep(0.04)
        evaluated.append(backbone)
        return {"knn_top1": 0.5}

    monkeypatch.setattr("trainers.training.monitor.knn_monitor", lambda *_: slow)
    run = train(few_shapes, tmp_path / "run", minutes=0.008, labels="folders", **TINY)
    # At the first epoch, at the last, and perhaps once between: 0.04 s of 0.48 are more than a twentieth.
    assert len(evaluated) <= 3
    assert len(run.metrics) > len(evaluated)
    assert run.metrics[-1]["knn_top1"] == 0.5
