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
from torch import Tensor

from featurestore.progress import Listener
from trainers.config.parse import over_file, read_toml
from trainers.config.planning import plan
from trainers.data import images as data
from trainers.data.loader import Loader
from trainers.methods import Progress
from trainers.training.devices import launch
from trainers.training.setup import build, preprocess_of
from trainers.training.step import BatchOutput, TrainingStep

T = TypeVar("T")
PARTS = ("load", "augment", "forward", "backward", "optimiser", "after step")  # the last: teacher, queue, centre
BATCHES = 4  # that many are decoded, and drawn again and again
WARM_UP = 3  # steps that are not counted
ROUNDS = 5  # of whole steps and of the limit, by turns
AT = Progress(step=1000, epoch=10, fraction=0.5)  # the middle of a training, where all rates are above zero


@dataclass(frozen=True)
class Profile:
    """A step's time by its parts: medians in milliseconds, each part waiting for the device."""

    parts: dict[str, float]
    step_ms: float  # as the loop runs it: nothing waits between the parts
    limit_ms: float  # forward and backward alone, on views that are ready
    share: float  # limit / step, median over rounds
    spread: tuple[float, float]  # of `share`, least and largest
    decode_per_second: float  # images; once at the start of a training
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

    On one device, and with random weights: neither changes the time of a step. Raises ConfigError, SourceError, TrainingError.
    """
    listener = listener or Listener()
    given = config if isinstance(config, Mapping) else read_toml(config) if config is not None else {}
    files = data.list_training_files(source).training
    planned, chosen = plan(files, over_file(given, settings), listener)
    for line in chosen:
        listener.note(line)
    resolved = replace(planned, devices=1, init=None)
    fabric = launch(resolved)
    torch.manual_seed(resolved.seed)
    method = build(resolved, listener.note)
    wanted = BATCHES * resolved.batch_size
    few = files[:: max(1, len(files) // wanted)][:wanted]
    listener.start("decoding", len(few))
    began = time.monotonic()
    pixels = data.load(few, preprocess_of(resolved), resolved.workers, listener.advance).pixels
    decode = len(few) / (time.monotonic() - began)

    batch_size = min(resolved.batch_size, len(pixels))
    step = TrainingStep(fabric, method, resolved, batch_size)
    loader = Loader(pixels, fabric.device, batch_size, resolved.seed)
    batches = chain.from_iterable(loader.epoch(number) for number in count())
    clock = _Stopwatch(fabric.device)
    if fabric.device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(fabric.device)  # that of networks which a choice by minutes timed before

    def whole() -> None:
        step.run(next(batches), AT)

    views = step.views(next(batches), AT)

    def limit() -> None:
        step.forward_backward(views, AT)
        step.optimizer.zero_grad()

    listener.start("timing", WARM_UP + steps + ROUNDS)
    for _ in range(WARM_UP):
        whole()
        listener.advance()
    parts: dict[str, list[float]] = {name: [] for name in PARTS}
    for _ in range(steps):
        _by_parts(step, batches, clock, parts)
        listener.advance()
    rounds = []
    for _ in range(ROUNDS):
        rounds.append([clock.time(partial(_repeat, part, steps))[1] / steps for part in (whole, limit)])
        listener.advance()
    shares = [alone / together for together, alone in rounds]
    return Profile(
        parts={name: statistics.median(times) for name, times in parts.items()},
        step_ms=statistics.median(together for together, _ in rounds),
        limit_ms=statistics.median(alone for _, alone in rounds),
        share=statistics.median(shares),
        spread=(min(shares), max(shares)),
        decode_per_second=decode,
        memory_mb=_peak_memory(fabric.device),
        batch_size=batch_size,
        what=f"{resolved.method}, {resolved.backbone}, {resolved.image_size} px, batch {batch_size}, {resolved.precision}"
        f"{', compiled' if resolved.compile else ''}, on {_name(fabric.device)}",
    )


def _repeat(part: Callable[[], None], times: int) -> None:
    for _ in range(times):
        part()


def _by_parts(
    step: TrainingStep, batches: Iterator[Tensor], clock: "_Stopwatch", parts: dict[str, list[float]]
) -> None:
    """Run one step and note the time of each part."""
    times = dict.fromkeys(PARTS, 0.0)

    def timed(name: str, part: Callable[[], T]) -> T:
        result, ms = clock.time(part)
        times[name] += ms
        return result

    batch = timed("load", lambda: next(batches))
    views = timed("augment", lambda: step.views(batch, AT))
    output = BatchOutput()
    for number, part in enumerate(step.parts(views)):
        said = timed("forward", partial(step.forward, part, AT, number))
        timed("backward", partial(step.backward, said.loss))
        output.add(said)
    timed("optimiser", lambda: step.update(AT))
    timed("after step", lambda: step.after_step(output.carries, AT))
    for name, ms in times.items():
        parts[name].append(ms)


@dataclass(frozen=True)
class _Stopwatch:
    """Times a call until the device has done all of it."""

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
