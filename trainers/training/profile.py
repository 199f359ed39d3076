"""Where the time of a training step goes, measured on the machine at hand."""

import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from itertools import chain, count
from pathlib import Path
from typing import Any, TypeVar

import torch
from lightning_fabric import Fabric
from torch import Tensor

from featurestore.progress import Listener
from trainers.config.schema import Config
from trainers.config.settle import read_given, settle
from trainers.data import images as data
from trainers.methods import Progress
from trainers.training.loop import loss_and_gradients, take_step
from trainers.training.setup import preprocess_of, set_up
from trainers.training.speed import images_per_second
from trainers.training.step import BatchOutput, TrainingStep

T = TypeVar("T")
PARTS = ("load", "augment", "forward", "backward", "optimiser", "after step")  # the last: teacher, queue, centre
BATCHES = 4  # decoded, and drawn again and again
WARM_UP = 3  # steps that are not counted
ROUNDS = 5  # of whole steps and of the limit, alternating
AT = Progress(step=1000, epoch=10, fraction=0.5)  # the middle of a training, where all rates are above zero


@dataclass(frozen=True)
class Profile:
    """A step's time by its parts: medians in milliseconds, each part waiting for the device."""

    parts: dict[str, float]
    step_ms: float  # as the loop runs it, without waiting between the parts
    limit_ms: float  # forward and backward alone, on views made before
    share: float  # limit / step, median over rounds
    spread: tuple[float, float]  # of `share`, least and largest
    decode_per_second: float  # images, decoded once at the start of a training
    memory_mb: float  # peak: of the GPU, else of the process
    batch_size: int
    what: str

    @property
    def images_per_second(self) -> float:
        return 1000 * self.batch_size / self.step_ms

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "images_per_second": self.images_per_second}

    def __str__(self) -> str:
        total = sum(self.parts.values())
        rows = [f"{name:<10} {ms:9.2f} ms {ms / total:6.1%}" for name, ms in self.parts.items()]
        low, high = self.spread
        return "\n".join([
            self.what, *rows,
            f"{'whole step':<10} {self.step_ms:9.2f} ms  {self.images_per_second:.0f} images/s",
            f"{'limit':<10} {self.limit_ms:9.2f} ms  forward and backward alone on ready views; the step reaches {self.share:.2f} of it ({low:.2f} to {high:.2f})",
            f"decoding   {self.decode_per_second:.0f} images/s, once; memory {self.memory_mb:.0f} MB at most",
        ])  # fmt: skip


def profile(
    source: str | Path,
    *,
    steps: int = 5,
    config: str | Path | Mapping[str, Any] | None = None,
    listener: Listener | None = None,
    **settings: Any,
) -> Profile:
    """Time the steps of the training that `train` would run with the same settings, `steps` at a time; nothing is written.

    It runs on one device and with random weights, which do not change the time of a step. Raises ConfigError, SourceError, TrainingError.
    """
    listener = listener or Listener()
    files = data.list_training_files(source).training
    settled = settle(files, read_given(config, settings), images_per_second, listener)
    settled = replace(settled, config=replace(settled.config, devices=1, init=None))
    decoded_per_second = 0.0

    def load(fabric: Fabric, listener: Listener) -> data.Images:
        nonlocal decoded_per_second
        wanted = BATCHES * settled.config.batch_size
        few = files[:: max(1, len(files) // wanted)][:wanted]
        listener.start("decoding", len(few))
        began = time.monotonic()
        images = data.load(few, preprocess_of(settled.config), settled.config.workers, listener.advance)
        decoded_per_second = len(few) / (time.monotonic() - began)
        return images

    setup = set_up(settled, load, listener)
    step, loader, device = setup.step, setup.loader, setup.fabric.device
    batches = chain.from_iterable(loader.epoch(number) for number in count())
    stopwatch = _Stopwatch(device)
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)  # without the networks that a choice by minutes timed before

    def whole() -> None:
        take_step(step, next(batches), AT)

    views = step.views(next(batches), AT)

    def limit() -> None:
        loss_and_gradients(step, views, AT)
        step.optimizer.zero_grad()

    listener.start("timing", WARM_UP + steps + ROUNDS)
    for _ in range(WARM_UP):
        whole()
        listener.advance()
    parts: dict[str, list[float]] = {name: [] for name in PARTS}
    for _ in range(steps):
        _by_parts(step, batches, stopwatch, parts)
        listener.advance()
    rounds = []
    for _ in range(ROUNDS):
        rounds.append([stopwatch.time(partial(_repeat, part, steps))[1] / steps for part in (whole, limit)])
        listener.advance()
    shares = [alone / together for together, alone in rounds]
    return Profile(
        parts={name: statistics.median(times) for name, times in parts.items()},
        step_ms=statistics.median(together for together, _ in rounds),
        limit_ms=statistics.median(alone for _, alone in rounds),
        share=statistics.median(shares),
        spread=(min(shares), max(shares)),
        decode_per_second=decoded_per_second,
        memory_mb=_peak_memory(device),
        batch_size=loader.batch_size,
        what=_describe(setup.config, loader.batch_size, device),
    )


def _describe(config: Config, batch_size: int, device: torch.device) -> str:
    compiled = ", compiled" if config.compile else ""
    return (
        f"{config.method}, {config.backbone}, {config.image_size} px, batch {batch_size}, {config.precision}{compiled}, "
        f"on {_name(device)}"
    )


def _repeat(part: Callable[[], None], times: int) -> None:
    for _ in range(times):
        part()


def _by_parts(
    step: TrainingStep, batches: Iterator[Tensor], stopwatch: "_Stopwatch", parts: dict[str, list[float]]
) -> None:
    """Run one step and note the time of each part."""
    times = dict.fromkeys(PARTS, 0.0)

    def timed(name: str, call: Callable[[], T]) -> T:
        result, ms = stopwatch.time(call)
        times[name] += ms
        return result

    batch = timed("load", lambda: next(batches))
    views = timed("augment", lambda: step.views(batch, AT))
    output = BatchOutput()
    for part in step.parts(views):
        result = timed("forward", partial(step.loss, part, AT))
        timed("backward", partial(step.backward, part, result))
        output.add(result)
    timed("optimiser", lambda: step.update(AT))
    timed("after step", lambda: step.after_step(output.carries, AT))
    for name, ms in times.items():
        parts[name].append(ms)


@dataclass(frozen=True)
class _Stopwatch:
    """Times calls until the device has finished their work."""

    device: torch.device

    def time(self, call: Callable[[], T]) -> tuple[T, float]:
        self._wait()
        began = time.perf_counter()
        result = call()
        self._wait()
        return result, 1000 * (time.perf_counter() - began)

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        elif self.device.type == "mps":
            torch.mps.synchronize()


def _peak_memory(device: torch.device) -> float:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / 2**20
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, kilobytes elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20


def _name(device: torch.device) -> str:
    return (
        torch.cuda.get_device_name(device)
        if device.type == "cuda"
        else f"{device.type} with {torch.get_num_threads()} threads"
    )
