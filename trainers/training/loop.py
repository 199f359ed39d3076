"""The training loop, read from top to bottom. It knows no method."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from featurestore.errors import Interrupted, TrainingError
from trainers.methods import Progress
from trainers.training.checkpoint import Saver
from trainers.training.clock import Clock
from trainers.training.collapse_watch import CollapseWatch
from trainers.training.distributed import agree
from trainers.training.epoch_figures import EpochFigures
from trainers.training.interrupts import hold_interrupts
from trainers.training.metrics_file import MetricsFile
from trainers.training.monitor import TimeBounded
from trainers.training.progress_line import ProgressLine
from trainers.training.setup import Setup
from trainers.training.step import BatchOutput, TrainingStep

MONITOR_SHARE = 0.05  # of the minutes of a training, at most, for its k-NN figure


def take_step(step: TrainingStep, batch: Tensor, at: Progress) -> BatchOutput:
    """Take one optimiser step on a batch, uint8 (B, 3, h, w) on the device."""
    views = step.views(batch, at)
    output = loss_and_gradients(step, views, at)
    output.logs["lr"] = step.update(at)
    output.logs |= step.after_step(output.carries, at)
    return output


def loss_and_gradients(step: TrainingStep, views: Sequence[Tensor], at: Progress) -> BatchOutput:
    """Run the views of a batch through the network and back, part by part; the gradients stay on the parameters."""
    output = BatchOutput()
    for part in step.parts(views):
        with step.gradients_of(part):
            result = step.loss(part, at)
            step.backward(part, result)
        output.add(result)
    return output


def fit(
    setup: Setup,
    out: Path,
    evaluate: Callable[[nn.Module], dict[str, float]],
    state: dict[str, Any] | None,
    identity: dict[str, Any],
    spent: float = 0.0,
) -> None:
    """Train as `setup` says, and write checkpoints and metrics to the folder `out`.

    `evaluate` gives figures of the export backbone after each epoch, or less often where the time is short; `state` is the checkpoint that
    `setup` was made from, if any; `identity` goes into every checkpoint; `spent` is the part of its minutes, in seconds, that a new training
    has used before it starts. Raises TrainingError when the loss is not a finite number and, where
    the settings say so, on a collapse; Interrupted on Ctrl-C, after saving the state.
    """
    config, fabric, method, step, loader = setup.config, setup.fabric, setup.method, setup.step, setup.loader
    clock = Clock(
        loader.steps_per_epoch,
        config.epochs,
        config.minutes,
        seconds=spent,
        began_seconds=spent,
        compiles=config.compile,
    )
    if state is not None:
        clock.step, clock.seconds = state["step"], state["seconds"]
        began = state.get("began", {"step": 0, "seconds": 0.0})  # earlier versions wrote none
        clock.began_step, clock.began_seconds = began["step"], began["seconds"]
    metrics = MetricsFile(out, clock.step, config.tensorboard) if fabric.is_global_zero else None
    monitor = TimeBounded(evaluate, MONITOR_SHARE if config.minutes else 1.0)
    collapse_watch = CollapseWatch(method.uniform_loss, method.cures, setup.listener)
    progress, saver = ProgressLine(setup.listener, clock), Saver(out / "checkpoint.pt", lambda: {
        "method": method.state_dict(), "optimizer": step.optimizer.state_dict(),
        "scaler": fabric.strategy.precision.state_dict(),  # of gradients in float16; empty in other precisions
        "step": clock.step, "seconds": clock.seconds,
        "began": {"step": clock.began_step, "seconds": clock.began_seconds}, **identity,
    }, fabric.is_global_zero)  # fmt: skip
    interruption = Interrupted(f"interrupted; the state is saved in {out}: go on with --resume")
    stop = False

    with hold_interrupts() as interrupted:
        while not clock.done:
            epoch = EpochFigures(clock, loader, step.part_size)
            for batch in loader.epoch(clock.epoch, skip=clock.steps_into_epoch):
                epoch.add(take_step(step, batch, clock.now()))
                clock.tick()
                # All processes stop after the same step.
                clock.seconds, stop = agree(fabric, (clock.seconds, interrupted.is_set()))
                progress.advance(epoch)
                if clock.done or stop:
                    break
                if saver.is_due and clock.steps_into_epoch:
                    epoch.check_loss()  # weights that are not numbers must not replace good ones
                    saver.save()
            if stop and not clock.done and clock.steps_into_epoch:
                epoch.check_loss()
                saver.save()
                raise interruption

            figures = epoch.to_json()
            if metrics is not None:
                figures |= monitor(method.export_backbone, must=clock.done)
                metrics.append(figures)
            collapse = collapse_watch.check(agree(fabric, figures))
            if clock.done or saver.is_due:
                saver.save()
            if collapse and config.stop_on_collapse:
                raise TrainingError(f"stopped on a collapse: {collapse.text}")
            if agree(fabric, interrupted.is_set()):
                saver.save()
                raise interruption
