"""The line that a training shows while it runs."""

import time
from dataclasses import dataclass, field

from featurestore.progress import Listener
from trainers.training.clock import Clock
from trainers.training.epoch_figures import EpochFigures

INTERVAL = 0.5  # seconds between two readings of the loss, which make the processor wait for the device


@dataclass
class ProgressLine:
    """Reports every step to a listener, with the loss and the speed as last read."""

    listener: Listener
    clock: Clock
    _text: str = ""
    _read_at: float = field(default_factory=time.monotonic)

    def advance(self, epoch: EpochFigures) -> None:
        """Report one more step. Raises TrainingError when the loss is not a finite number."""
        if time.monotonic() - self._read_at > INTERVAL:
            self._text = epoch.progress()
            self._read_at = time.monotonic()
        self.listener.advance(1, f"{self._text}{self._left()}")

    def _left(self) -> str:
        if self.clock.minutes is None:
            return ""
        return f"  {max(0.0, 60 * self.clock.minutes - self.clock.seconds):.0f} s left"
