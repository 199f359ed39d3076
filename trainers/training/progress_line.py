"""The line that a training shows while it runs."""

import time
from dataclasses import dataclass, field

from featurestore.progress import Listener
from trainers.training.clock import Clock
from trainers.training.epoch_figures import EpochFigures

INTERVAL = 0.5  # seconds between two readings of the loss, which make the processor wait for the device


@dataclass
class ProgressLine:
    """Reports every step to a listener, in steps or in seconds, with the loss and the speed as last read."""

    listener: Listener
    clock: Clock
    _text: str = ""
    _read_at: float = field(default_factory=time.monotonic)
    _reported: int = 0

    def __post_init__(self) -> None:
        minutes = self.clock.minutes
        unit, total = (
            ("steps", self.clock.epochs * self.clock.steps_per_epoch)
            if minutes is None
            else ("seconds", round(60 * minutes))
        )
        self.listener.start(f"training, {unit}", total)
        self._report()

    def advance(self, epoch: EpochFigures) -> None:
        """Report one more step. Raises TrainingError when the loss is not a finite number."""
        if time.monotonic() - self._read_at > INTERVAL:
            self._text = epoch.progress()
            self._read_at = time.monotonic()
        self._report()

    def _report(self) -> None:
        done = self.clock.step if self.clock.minutes is None else int(min(self.clock.seconds, 60 * self.clock.minutes))
        self.listener.advance(done - self._reported, self._text)
        self._reported = done
