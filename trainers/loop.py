"""The training loop, read from top to bottom. It knows no method."""

import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from lightning.fabric import Fabric
from torch import Tensor

from featurestore.errors import Interrupted, TrainingError
from featurestore.preprocess import IMAGENET_MEAN, IMAGENET_STD
from featurestore.progress import Listener
from trainers import checkpoint, monitor
from trainers.config import Config
from trainers.data import batches
from trainers.methods import Method, Progress
from trainers.metrics import MetricsFile
from trainers.optim import clip_each, make_optimizer
from trainers.randomness import mix
from trainers.schedules import cosine, learning_rate
from trainers.views import augment

# Seconds between checkpoints: a killed run loses no more than this.
SAVE_INTERVAL = 30.0
READ_INTERVAL = 0.5  # seconds between looks at the loss, which make the processor wait for the device


@dataclass
class Clock:
    """How much of a training is spent, in epochs or in minutes."""

    steps_per_epoch: int
    epochs: int
    minutes: float | None
    step: int = 0
    seconds: float = 0.0  # of training, over all resumed parts
    _since: float = field(default_factory=time.monotonic)

    def tick(self) -> None:
        """One more step is done."""
        now = time.monotonic()
        self.step, self.seconds, self._since = self.step + 1, self.seconds + now - self._since, now

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

    `fabric` is launched; `evaluate` gives figures of the export backbone after each epoch; `state` is a checkpoint to go on from;
    `identity` is kept in every checkpoint. Raises TrainingError when the loss is no number or on a collapse that is to stop the
    run, Interrupted (state saved) on Ctrl-C.
    """
    method = method.to(fabric.device).to(memory_format=torch.channels_last).train()
    optimizer = make_optimizer(method, config.optimizer)
    batch_size = min(config.batch_size, len(pixels))
    batch_size -= batch_size % fabric.world_size  # all processes have equally many images
    if batch_size // (fabric.world_size * config.accumulate) < 2:
        raise TrainingError(
            f"a batch of {batch_size} in {config.accumulate} parts on {fabric.world_size} devices leaves fewer than 2 images a part; "
            "choose a larger --batch-size or a smaller --accumulate"
        )
    peak_lr = config.optimizer.lr * batch_size / 256
    clock = Clock(len(pixels) // batch_size, config.epochs, config.minutes)
    if state is not None:
        method.load_state_dict(state["method"])
        optimizer.load_state_dict(state["optimizer"])
        clock.step, clock.seconds = state["step"], state["seconds"]
    if config.compile:
        for part_of_it in method.compiled:
            part_of_it.compile()
    network = method
    if fabric.world_size > 1 and config.device == "cuda":  # torch has it for GPUs alone
        network = torch.nn.SyncBatchNorm.convert_sync_batchnorm(method)  # type: ignore[no-untyped-call]
    wrapped, optimizer = fabric.setup(network, optimizer)
    wrapped.mark_forward_method("loss")
    device = fabric.device
    mean, std = (torch.tensor(x, device=device).view(1, 3, 1, 1) for x in (IMAGENET_MEAN, IMAGENET_STD))
    metrics = MetricsFile(out, clock.step, config.tensorboard) if fabric.is_global_zero else None
    named: set[str] = set()

    def save() -> None:
        if fabric.is_global_zero:
            checkpoint.save(out / "checkpoint.pt", {
                "method": method.state_dict(), "optimizer": optimizer.state_dict(),
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
            losses: list[Tensor] = []
            logs: dict[str, float | Tensor] = {}
            for indices in islice(
                batches(len(pixels), batch_size, config.seed, epoch), first % clock.steps_per_epoch, None
            ):
                at = clock.now()
                lr = learning_rate(at.fraction, peak_lr, config.optimizer.warmup, config.optimizer.schedule)
                for group in optimizer.param_groups:
                    group["lr"] = lr
                if config.optimizer.weight_decay_end is not None:
                    decay = cosine(at.fraction, config.optimizer.weight_decay, config.optimizer.weight_decay_end)
                    optimizer.param_groups[0]["weight_decay"] = decay

                rng = torch.Generator(device).manual_seed(mix(config.seed, at.step, fabric.global_rank))
                batch = pixels[indices[fabric.global_rank :: fabric.world_size]].to(device)  # (B, 3, H, W)
                views = [
                    ((augment(batch, spec, rng) - mean) / std).contiguous(memory_format=torch.channels_last)
                    for spec in method.views
                ]
                carries: list[Tensor] = []
                projections: list[Tensor] = []
                parts = zip(*(view.tensor_split(config.accumulate) for view in views), strict=True)
                for part, part_views in enumerate(parts):
                    seed = mix(config.seed, at.step, fabric.global_rank, part)
                    with (
                        fabric.no_backward_sync(wrapped, enabled=part < config.accumulate - 1),
                        _memory_named(len(part_views[0])),
                    ):
                        step = wrapped.loss(list(part_views), at._replace(seed=seed))
                        fabric.backward(step.loss * (len(part_views[0]) / len(batch)))
                    losses.append(step.loss.detach())
                    projections.append(step.projections)
                    if step.carry is not None:
                        carries.append(step.carry.detach())
                if config.optimizer.clip:
                    clip_each(method.parameters(), config.optimizer.clip)
                optimizer.step()
                optimizer.zero_grad()
                moved = method.after_step(torch.cat(carries) if carries else None, at)
                logs = {"lr": lr, **step.logs, **moved}
                clock.tick()
                stop = interrupted.is_set()
                if fabric.world_size > 1:  # all stop at the same step
                    clock.seconds, stop = fabric.broadcast((clock.seconds, stop))

                if time.monotonic() - read_at > READ_INTERVAL:
                    speed = (clock.step - first) * batch_size / (time.monotonic() - began)
                    latest = f"epoch {epoch + 1}  loss {_finite(losses[-1]):.4f}  {speed:.0f} images/s"
                    read_at = time.monotonic()
                listener.advance(1, f"{latest}{_left(clock)}")
                if clock.done or stop:
                    break
                if time.monotonic() - saved_at > SAVE_INTERVAL and clock.step % clock.steps_per_epoch:
                    save()
                    saved_at = time.monotonic()
            if stop and clock.step % clock.steps_per_epoch:
                save()
                raise Interrupted(stopped)

            z = torch.cat(projections)
            figures: dict[str, Any] = {
                "epoch": epoch + 1, "step": clock.step, "fraction": round(clock.fraction, 6),
                "loss": _finite(torch.stack(losses).mean()), **{name: float(value) for name, value in logs.items()},
                "feature_std": monitor.feature_std(z), "rankme": monitor.rankme(z),
                "images_per_second": round((clock.step - first) * batch_size / (time.monotonic() - began), 1),
                "seconds": round(clock.seconds, 2),
            }  # fmt: skip
            if metrics is not None:
                figures |= evaluate(method.export_backbone)
                metrics.append(figures)
            if fabric.world_size > 1:
                figures = fabric.broadcast(figures)
            plateau = plateau + 1 if monitor.is_uniform(figures["loss"], method.uniform_loss) else 0
            verdict = monitor.collapse(figures, method.uniform_loss, plateau)
            if verdict and verdict.name not in named:
                named.add(verdict.name)
                listener.note(f"collapse: {verdict.text}")
            if clock.done or stop or time.monotonic() - saved_at > SAVE_INTERVAL:
                save()
                saved_at = time.monotonic()
            if verdict and config.stop_on_collapse:
                raise TrainingError(f"stopped on a collapse: {verdict.text}")
            if stop and not clock.done:
                raise Interrupted(stopped)


def _finite(loss: Tensor) -> float:
    value = loss.item()
    if value != value or value in (float("inf"), float("-inf")):
        raise TrainingError(
            f"the loss became {value}; likely cures: a lower optimizer.lr, a longer optimizer.warmup, --precision 32-true"
        )
    return value


@contextmanager
def _memory_named(images: int) -> Iterator[None]:
    """Say what to do where a step does not fit the memory of the device."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise TrainingError(
            f"{images} images at once do not fit the memory of the device; choose a smaller --batch-size, or --accumulate 2 and more"
        ) from error


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
