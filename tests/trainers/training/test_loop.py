"""The loop: how long it goes on, what it keeps, and how it stops."""

import signal
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from featurestore.errors import Interrupted, TrainingError
from tests.trainers.runs import TINY, Notes, fails
from trainers import train
from trainers.config.resolve import resolve
from trainers.methods.simclr import SimCLR
from trainers.run import Run
from trainers.training import checkpoint, progress_line
from trainers.training.clock import Clock


def test_a_clock_counts_epochs_or_minutes() -> None:
    by_epochs = Clock(steps_per_epoch=4, epochs=2, minutes=None, step=6)
    assert (by_epochs.fraction, by_epochs.now().epoch, by_epochs.done) == (0.75, 1, False)
    by_minutes = Clock(steps_per_epoch=4, epochs=2, minutes=2, step=100, seconds=90)
    assert (by_minutes.fraction, by_minutes.done) == (0.75, False)
    assert Clock(4, 2, 2, 100, 121).done


def test_a_compilation_takes_no_time_from_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter([50.0, 53.0])
    monkeypatch.setattr("trainers.training.clock.time.monotonic", lambda: next(now))
    clock = Clock(4, 2, minutes=1, compiles=True, _since=0.0)
    clock.tick()
    clock.tick()
    assert (clock.step, clock.seconds) == (2, 3.0)


@pytest.mark.usefixtures("no_export")
def test_minutes_bound_the_training(few_shapes: Path, tmp_path: Path) -> None:
    run = train(few_shapes, tmp_path / "run", minutes=0.01, **TINY)
    assert run.metrics[-1]["fraction"] == 1.0
    assert run.metrics[-1]["seconds"] >= 0.6
    assert run.metrics[0]["fraction"] < 1.0 or len(run.metrics) == 1


@pytest.mark.usefixtures("no_export")
@pytest.mark.parametrize("method", ["byol", "simclr"])
@pytest.mark.parametrize("stop", [2, 3, 5])  # within an epoch, at its end, within the next
def test_resumed_equals_never_stopped(method: str, stop: int, few_shapes: Path, tmp_path: Path) -> None:
    settings = {**TINY, "method": method, method: {"hidden": 16, "dim": 8}, "epochs": 3}
    if method != "simclr":
        del settings["simclr"]
    whole = train(few_shapes, tmp_path / "whole", **settings)
    with pytest.raises(Interrupted, match="--resume"):
        train(few_shapes, tmp_path / "parts", listener=Notes(interrupt_after=stop), **settings)
    parts = train(few_shapes, tmp_path / "parts", resume=True)
    first, second = (checkpoint.load(run.out / "checkpoint.pt") for run in (whole, parts))
    assert first["step"] == second["step"] == 9
    assert all(torch.equal(value, second["method"][name]) for name, value in first["method"].items())
    assert [m["epoch"] for m in parts.metrics] == [1, 2, 3]
    assert [m["loss"] for m in parts.metrics][-1] == whole.metrics[-1]["loss"]


@pytest.mark.usefixtures("no_export")
def test_the_handler_of_ctrl_c_is_put_back(few_shapes: Path, tmp_path: Path) -> None:
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(Interrupted):
        train(few_shapes, tmp_path / "run", listener=Notes(interrupt_after=1), epochs=2, **TINY)
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.usefixtures("no_export")
def test_a_checkpoint_is_written_within_an_epoch(
    few_shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
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


def test_a_loss_that_is_no_number_stops_the_run(
    few_shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(self: SimCLR, views: Any, at: Any) -> Any:
        step = genuine(self, views, at)
        return step._replace(loss=step.loss * float("nan"))

    genuine = SimCLR.loss
    monkeypatch.setattr(SimCLR, "loss", broken)
    fails(TrainingError, ["nan", "optimizer.lr"], few_shapes, tmp_path / "run")


@pytest.mark.usefixtures("no_export")
def test_a_method_broken_on_purpose_is_reported_as_collapsed(
    few_shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def attract_only(self: SimCLR, views: Any, at: Any) -> Any:
        z1, z2 = (self.backbone(view) for view in views)
        spread = torch.cat([z1, z2]).var(dim=0).mean()  # nothing keeps vectors apart, this pulls them together
        return genuine(self, views, at)._replace(loss=spread, projections=z1.detach())

    notes = Notes()
    train(few_shapes, tmp_path / "healthy", epochs=3, listener=notes, **TINY)
    assert not any("collapse" in line for line in notes.lines)
    genuine = SimCLR.loss
    monkeypatch.setattr(SimCLR, "loss", attract_only)
    train(few_shapes, tmp_path / "broken", epochs=40, listener=notes, **{**TINY, "optimizer": {"lr": 8.0}})
    assert sum("collapse" in line for line in notes.lines) == 1


@pytest.mark.usefixtures("no_export")
def test_a_collapse_can_end_the_run(few_shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def flat(self: SimCLR, views: Any, at: Any) -> Any:
        return genuine(self, views, at)._replace(projections=torch.ones(8, 4))

    genuine = SimCLR.loss
    monkeypatch.setattr(SimCLR, "loss", flat)
    with pytest.raises(TrainingError, match=r"stopped on a collapse.*nearly equal"):
        train(few_shapes, tmp_path / "run", epochs=3, stop_on_collapse=True, **TINY)
    assert len(Run(tmp_path / "run", resolve()).metrics) == 1


def test_parts_too_small_for_batch_statistics_are_refused(few_shapes: Path, tmp_path: Path) -> None:
    fails(TrainingError, ["8", "5 parts", "--accumulate"], few_shapes, tmp_path / "run", accumulate=5)


@pytest.mark.usefixtures("no_export")
def test_tensorboard_logs_are_written_when_asked(few_shapes: Path, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    run = train(few_shapes, tmp_path / "run", epochs=1, tensorboard=True, **TINY)
    assert any(p.name.startswith("events") for p in (run.out / "tensorboard").iterdir())


@pytest.mark.usefixtures("no_export")
@pytest.mark.parametrize("length", [{"epochs": 1}, {"minutes": 1e-6}])
def test_ctrl_c_in_the_last_step_keeps_the_whole_run(length: dict[str, Any], few_shapes: Path, tmp_path: Path) -> None:
    last = 3 if "epochs" in length else 1
    with pytest.raises(Interrupted, match="--resume"):
        train(few_shapes, tmp_path / "run", listener=Notes(interrupt_after=last), **length, **TINY)
    run = train(few_shapes, tmp_path / "run", resume=True)
    assert [line["fraction"] for line in run.metrics] == [1.0]
    assert (run.out / "curves.png").exists()


@pytest.mark.usefixtures("no_export")
def test_ctrl_c_is_heard_while_the_k_nn_figure_is_computed(
    few_shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def press(backbone: object) -> dict[str, float]:
        signal.raise_signal(signal.SIGINT)
        return {"knn_top1": 0.5}

    monkeypatch.setattr("trainers.training.monitor.knn_monitor", lambda *_: press)
    with pytest.raises(Interrupted):
        train(few_shapes, tmp_path / "run", epochs=2, labels="folders", **TINY)
    assert [line["epoch"] for line in Run(tmp_path / "run", resolve()).metrics] == [1]


@pytest.mark.usefixtures("no_export")
def test_weights_that_are_no_numbers_do_not_take_the_place_of_good_ones(
    few_shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(self: SimCLR, views: Any, at: Any) -> Any:
        step = genuine(self, views, at)
        return step._replace(loss=step.loss * float("nan")) if at.step == 1 else step

    genuine = SimCLR.loss
    monkeypatch.setattr(SimCLR, "loss", breaks)
    monkeypatch.setattr(checkpoint, "INTERVAL", 0.0)
    monkeypatch.setattr(progress_line, "INTERVAL", 1e9)
    with pytest.raises(TrainingError, match="the loss became nan"):
        train(few_shapes, tmp_path / "run", epochs=1, **TINY)
    assert checkpoint.load(tmp_path / "run" / "checkpoint.pt")["step"] == 1


@pytest.mark.usefixtures("no_export")
def test_the_progress_tells_how_long_steps_wait_for_images(
    few_shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[str] = []
    monkeypatch.setattr(Notes, "advance", lambda self, amount=1, detail="": told.append(detail))
    monkeypatch.setattr(progress_line, "INTERVAL", 0.0)
    train(few_shapes, tmp_path / "run", epochs=1, listener=Notes(), **TINY)
    assert "images/s  wait " in told[-1]
    assert told[-1].endswith("%")


@pytest.mark.usefixtures("no_export")
def test_little_of_the_minutes_goes_into_the_k_nn_figure(
    few_shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[object] = []

    def slow(backbone: object) -> dict[str, float]:
        time.sleep(0.04)
        asked.append(backbone)
        return {"knn_top1": 0.5}

    monkeypatch.setattr("trainers.training.monitor.knn_monitor", lambda *_: slow)
    run = train(few_shapes, tmp_path / "run", minutes=0.008, labels="folders", **TINY)
    assert (
        len(asked) <= 3
    )  # at the first epoch, at the last, and perhaps once between: 0.04 s of 0.48 are more than a twentieth
    assert len(run.metrics) > len(asked)
    assert run.metrics[-1]["knn_top1"] == 0.5
