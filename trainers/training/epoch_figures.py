"""The figures of one epoch: collected step by step, and written as one line of metrics.jsonl."""

import math
import time
from collections import deque
from typing import Any

import torch
from torch import Tensor

from featurestore.errors import TrainingError
from trainers.data.loader import Loader
from trainers.training import monitor
from trainers.training.clock import Clock
from trainers.training.step import BatchOutput


class EpochFigures:
    """Losses, last projections and logs of an epoch, or of the part of it that a resumed run still has to do."""

    def __init__(self, clock: Clock, loader: Loader, part_size: int) -> None:
        self._clock, self._loader = clock, loader
        self._number, self._first_step, self._began = clock.epoch + 1, clock.step, time.monotonic()
        loader.waited = 0.0
        self._losses: list[Tensor] = []
        self._projections: deque[Tensor] = deque(maxlen=1 + monitor.ROWS // part_size)
        self._logs: dict[str, float | Tensor] = {}

    def add(self, output: BatchOutput) -> None:
        """Add the output of a step."""
        self._losses += output.losses
        self._projections.extend(output.projections)
        self._logs = output.logs

    def check_loss(self) -> float:
        """Give the mean loss so far; waits for the device. Raises TrainingError when it is not a finite number."""
        return _finite(torch.stack(self._losses).mean())

    def progress(self) -> str:
        """Say in a line how the epoch goes; waits for the device. Raises TrainingError when the loss is not a finite number."""
        took = time.monotonic() - self._began
        speed, wait = self._images() / took, self._loader.waited / took
        return f"epoch {self._number}  loss {_finite(self._losses[-1]):.4f}  {speed:.0f} images/s  wait {wait:.0%}"

    def to_json(self) -> dict[str, Any]:
        """Give the line of metrics.jsonl. Raises TrainingError when the loss is not a finite number."""
        loss = self.check_loss()  # first: it waits for the device, so that the time below is that of all steps
        took = time.monotonic() - self._began
        z = torch.cat(list(self._projections))[-monitor.ROWS :]
        return {
            "epoch": self._number, "step": self._clock.step, "fraction": round(self._clock.fraction, 6),
            "loss": loss, **{name: float(value) for name, value in self._logs.items()},
            "feature_std": monitor.feature_std(z), "rankme": monitor.rankme(z),
            "images_per_second": round(self._images() / took, 1),
            "wait": round(self._loader.waited / took, 4), "seconds": round(self._clock.seconds, 2),
        }  # fmt: skip

    def _images(self) -> int:
        return (self._clock.step - self._first_step) * self._loader.batch_size


def _finite(loss: Tensor) -> float:
    value = loss.item()
    if not math.isfinite(value):
        raise TrainingError(
            f"the loss became {value}; likely cures: a lower optimizer.lr, a longer optimizer.warmup, --precision 32-true"
        )
    return value
