"""The loop: how long it goes on, what it saves, and how it stops."""

import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from featurestore.errors import ConfigError, Interrupted, TrainingError
from tests.trainers.runs import TINY, Notes, fails
from trainers import train
from trainers.config.resolve import resolve
from trainers.data import images as data
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


def test_a_run_that_has_ended_goes_on_to_more_epochs(few_shapes: Path, tmp_path: Path) -> None:
    settings = {**TINY, "optimizer": {"warmup": 0.1}}
    train(few_shapes, tmp_path / "run", epochs=2, **settings)
    for stopped in (False, True):
        out = tmp_path / f"longer, stopped: {stopped}"
        shutil.copytree(tmp_path / "run", out)
        notes = Notes(interrupt_after=2 if stopped else None)
        if stopped:
            with pytest.raises(Interrupted):
                train(few_shapes, out, resume=True, epochs=4, listener=notes)
            run = train(few_shapes, out, resume=True)
        else:
            run = train(few_shapes, out, resume=True, epochs=4, listener=notes)
        assert (
            "continues from 2 to 4 epochs: the learning rate rises again to 0.00375 over the first 10%, and falls again to the end"
            in notes.lines
        )
        assert [(line["epoch"], line["fraction"]) for line in run.metrics] == [(1, 0.5), (2, 1.0), (3, 0.5), (4, 1.0)]
        assert run.metrics[2]["lr"] == run.metrics[0]["lr"]  # the same cosine again
        assert run.config.epochs == 4
    whole, parts = (checkpoint.load(tmp_path / f"longer, stopped: {s}" / "checkpoint.pt") for s in (False, True))
    assert all(torch.equal(value, parts["method"][name]) for name, value in whole["method"].items())


def test_a_longer_run_that_was_killed_before_its_first_step_begins_again(few_shapes: Path, tmp_path: Path) -> None:
    run = train(few_shapes, tmp_path / "run", epochs=1, **TINY)
    with pytest.raises(Interrupted):
        train(few_shapes, run.out, resume=True, epochs=2, listener=Notes(interrupt_after=1))
    state = checkpoint.load(run.out / "checkpoint.pt")
    checkpoint.save(run.out / "checkpoint.pt", {**state, "step": state["began"]["step"]})
    assert [line["fraction"] for line in train(few_shapes, run.out, resume=True).metrics] == [1.0, 1.0]


def test_a_run_that_cannot_become_longer_says_why(few_shapes: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    with pytest.raises(Interrupted):
        train(few_shapes, out, epochs=2, listener=Notes(interrupt_after=2), **TINY)
    for given, message in (
        (
            {"epochs": 4},
            "--resume --epochs 4: the learning rate of this run falls over 2 epochs, which have not ended yet; finish them by --resume, then go on by --resume --epochs 4",
        ),
        ({"minutes": 3.0}, f"--resume --minutes: the run in {out} has a length in epochs; go on with more by --epochs"),
    ):
        with pytest.raises(ConfigError) as caught:
            train(few_shapes, out, resume=True, **given)
        assert str(caught.value) == message
    train(few_shapes, out, resume=True)
    with pytest.raises(ConfigError, match=r"--epochs 1: the run has had 2 epochs already; give the total, more than 2"):
        train(few_shapes, out, resume=True, epochs=1)
    notes = Notes()
    train(few_shapes, out, resume=True, listener=notes)
    assert "the run has ended after 2 epochs, and nothing is left to train; go on by --resume --epochs 4" in notes.lines


def test_minutes_can_become_more(few_shapes: Path, tmp_path: Path) -> None:
    run = train(few_shapes, tmp_path / "run", minutes=0.002, **TINY)
    ended = run.metrics[-1]
    longer = train(few_shapes, run.out, resume=True, minutes=0.004)
    assert longer.metrics[-1]["seconds"] >= 0.24
    assert (ended["fraction"], longer.metrics[-1]["fraction"]) == (1.0, 1.0)
    assert longer.config.minutes == 0.004


def test_timing_and_decoding_count_as_minutes(few_shapes: Path, tmp_path: Path, monkeypatch: Patch) -> None:
    genuine = data.load

    def slow(*arguments: Any) -> Any:
        time.sleep(0.1)
        return genuine(*arguments)

    monkeypatch.setattr(data, "load", slow)
    run = train(few_shapes, tmp_path / "run", minutes=0.004, **TINY)
    state = checkpoint.load(run.out / "checkpoint.pt")
    assert state["began"] == {"step": 0, "seconds": 0.25 * 0.24}  # a quarter at most


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
    assert saved == [1, 2, 3, 4, 5, 6, 6]  # the last with what is fitted at the end


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
    calls: list[object] = []

    def press(backbone: object) -> dict[str, float]:
        calls.append(backbone)
        if len(calls) == 1:
            signal.raise_signal(signal.SIGINT)
        return {"knn_top1": 0.5}

    monkeypatch.setattr("trainers.training.monitor.knn_monitor", lambda *_, **__: press)
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

    monkeypatch.setattr("trainers.training.monitor.knn_monitor", lambda *_, **__: slow)
    run = train(few_shapes, tmp_path / "run", minutes=0.012, labels="folders", **TINY)
    # At the first epoch, at the last, and perhaps once between: 0.04 s of 0.72 are more than a twentieth.
    assert len(evaluated) <= 3
    assert len(run.metrics) >= len(evaluated)  # a busy machine may have time for few epochs
    assert run.metrics[-1]["knn_top1"] == 0.5
