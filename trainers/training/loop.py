"""The training loop, read from top to bottom. It knows no method."""

import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from lightning_fabric import Fabric
from torch import Tensor

from featurestore.errors import Interrupted, TrainingError
from featurestore.progress import Listener
from trainers.config.schema import Config
from trainers.data.loader import Loader
from trainers.methods import Method, Progress
from trainers.training import checkpoint, monitor
from trainers.training.collapse import collapse, is_uniform
from trainers.training.metrics_file import MetricsFile
from trainers.training.step import TrainingStep

T = TypeVar("T")
# Seconds between checkpoints: a killed run loses no more than this.
SAVE_INTERVAL = 30.0
WATCHED = 0.05  # share of the minutes of a training that may go into its k-NN figure
READ_INTERVAL = 0.5  # seconds between looks at the loss, which make the processor wait for the device


@dataclass
class Clock:
    """How much of a training is spent, in epochs or in minutes."""

    steps_per_epoch: int
    epochs: int
    minutes: float | None
    step: int = 0
    seconds: float = 0.0  # of training, over all resumed parts
    compiles: bool = (
        False  # in its next step, which may take a minute: counted, it would skip the warm-up of a short training
    )
    _since: float = field(default_factory=time.monotonic)

    def tick(self) -> None:
        """One more step is done."""
        now = time.monotonic()
        took = 0.0 if self.compiles else now - self._since
        self.step, self.seconds, self._since, self.compiles = self.step + 1, self.seconds + took, now, False

    @property
    def fraction(self) -> float:
        if self.minutes is not None:
            return min(1.0, self.seconds / (60 * self.minutes))
        return min(1.0, self.step / (self.epochs * self.steps_per_epoch))

    @property
    def done(self) -> bool:
        return self.fraction >= 1.0

    def now(self) -> Progress:
        return Progress(self.step, self.step // self.steps_per_epoch, self.fraction)


def fit(
    fabric: Fabric,
    method: Method,
    pixels: Tensor,
    config: Config,
    out: Path,
    evaluate: Callable[[torch.nn.Module], dict[str, float]],
    state: dict[str, Any] | None,
    identity: dict[str, Any],
    listener: Listener,
) -> None:
    """Train `method` on `pixels`, uint8 (N, 3, H, W), as `config` says, leaving checkpoints and metrics in `out`.

    `fabric` is launched; `evaluate` gives figures of the export backbone after each epoch, or less often where the time is short; `state` is a checkpoint to go on from;
    `identity` is kept in every checkpoint. Raises TrainingError when the loss is no number or on a collapse that is to stop the
    run, Interrupted (state saved) on Ctrl-C.
    """
    batch_size = min(config.batch_size, len(pixels))
    batch_size -= batch_size % fabric.world_size  # all processes have equally many images
    step = TrainingStep(fabric, method, config, batch_size, state)
    loader = Loader(pixels, fabric.device, batch_size, config.seed, fabric.global_rank, fabric.world_size)
    clock = Clock(loader.steps_per_epoch, config.epochs, config.minutes, compiles=config.compile)
    if state is not None:
        clock.step, clock.seconds = state["step"], state["seconds"]
    metrics = MetricsFile(out, clock.step, config.tensorboard) if fabric.is_global_zero else None
    watch = monitor.Sparing(evaluate, WATCHED if config.minutes else 1.0)
    named: set[str] = set()

    def save() -> None:
        if fabric.is_global_zero:
            checkpoint.save(out / "checkpoint.pt", {
                "method": method.state_dict(), "optimizer": step.optimizer.state_dict(),
                "step": clock.step, "seconds": clock.seconds, **identity,
            })  # fmt: skip

    listener.start("training", None if config.minutes else config.epochs * clock.steps_per_epoch)
    listener.advance(clock.step)
    saved_at = read_at = time.monotonic()
    latest, plateau, stop = "", 0, False
    stopped = f"interrupted; the state is kept in {out}: go on with --resume"
    with _hold_interrupts() as interrupted:
        while not clock.done:
            epoch, began, first = clock.step // clock.steps_per_epoch, time.monotonic(), clock.step
            loader.waited = 0.0
            losses: list[Tensor] = []
            projections: deque[Tensor] = deque(maxlen=1 + monitor.ROWS // step.part_size)
            logs: dict[str, float | Tensor] = {}
            for batch in loader.epoch(epoch, skip=first % clock.steps_per_epoch):
                at = clock.now()
                output = step.run(batch, at)
                logs = output.logs
                losses += output.losses
                projections.extend(output.projections)
                clock.tick()
                # All stop at the same step.
                clock.seconds, stop = _agreed(fabric, (clock.seconds, interrupted.is_set()))

                if time.monotonic() - read_at > READ_INTERVAL:
                    speed = (clock.step - first) * batch_size / (time.monotonic() - began)
                    wait = loader.waited / (time.monotonic() - began)
                    latest = f"epoch {epoch + 1}  loss {_finite(losses[-1]):.4f}  {speed:.0f} images/s  wait {wait:.0%}"
                    read_at = time.monotonic()
                listener.advance(1, f"{latest}{_left(clock)}")
                if clock.done or stop:
                    break
                if time.monotonic() - saved_at > SAVE_INTERVAL and clock.step % clock.steps_per_epoch:
                    _mean(losses)  # weights that are no numbers must not take the place of good ones
                    save()
                    saved_at = time.monotonic()
            if stop and not clock.done and clock.step % clock.steps_per_epoch:
                _mean(losses)
                save()
                raise Interrupted(stopped)

            loss = _mean(losses)  # waits for the device, so that the time below is that of all steps
            took = time.monotonic() - began
            z = torch.cat(list(projections))[-monitor.ROWS :]
            figures: dict[str, Any] = {
                "epoch": epoch + 1, "step": clock.step, "fraction": round(clock.fraction, 6),
                "loss": loss, **{name: float(value) for name, value in logs.items()},
                "feature_std": monitor.feature_std(z), "rankme": monitor.rankme(z),
                "images_per_second": round((clock.step - first) * batch_size / took, 1),
                "wait": round(loader.waited / took, 4), "seconds": round(clock.seconds, 2),
            }  # fmt: skip
            if metrics is not None:
                figures |= watch(method.export_backbone, must=clock.done)
                metrics.append(figures)
            figures = _agreed(fabric, figures)
            plateau = plateau + 1 if is_uniform(figures["loss"], method.uniform_loss) else 0
            verdict = collapse(figures, method.uniform_loss, method.cures, plateau)
            if verdict and verdict.name not in named:
                named.add(verdict.name)
                listener.note(f"collapse: {verdict.text}")
            if clock.done or time.monotonic() - saved_at > SAVE_INTERVAL:
                save()
                saved_at = time.monotonic()
            if verdict and config.stop_on_collapse:
                raise TrainingError(f"stopped on a collapse: {verdict.text}")
            if _agreed(fabric, interrupted.is_set()):
                save()
                raise Interrupted(stopped)


def _agreed(fabric: Fabric, value: T) -> T:
    """What the first process says, on all of them."""
    return fabric.broadcast(value) if fabric.world_size > 1 else value


def _mean(losses: list[Tensor]) -> float:
    return _finite(torch.stack(losses).mean())


def _finite(loss: Tensor) -> float:
    value = loss.item()
    if value != value or value in (float("inf"), float("-inf")):
        raise TrainingError(
            f"the loss became {value}; likely cures: a lower optimizer.lr, a longer optimizer.warmup, --precision 32-true"
        )
    return value


def _left(clock: Clock) -> str:
    if clock.minutes is None:
        return ""
    return f"  {max(0.0, 60 * clock.minutes - clock.seconds):.0f} s left"


@contextmanager
def _hold_interrupts() -> Iterator[threading.Event]:
    """Let Ctrl-C set a flag, so that it is heard between steps and never within one; a second Ctrl-C stops at once."""
    pressed = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield pressed
        return
    before = signal.getsignal(signal.SIGINT)

    def hear(_signal: int, _frame: object) -> None:
        if pressed.is_set():
            raise KeyboardInterrupt
        pressed.set()

    signal.signal(signal.SIGINT, hear)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)
