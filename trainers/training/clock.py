"""The clock of a training: how much of its epochs or minutes is spent."""

import time
from dataclasses import dataclass, field

from trainers.methods import Progress


@dataclass
class Clock:
    """Counts steps and seconds; a training ends after `minutes` where they are given, else after `epochs`.

    A run that was made longer counts its fraction from where the longer training began.
    """

    steps_per_epoch: int
    epochs: int
    minutes: float | None
    step: int = 0
    seconds: float = 0.0  # of training, over all resumed parts
    began_step: int = 0
    began_seconds: float = 0.0
    # The next step compiles the network, which may take a minute. Counted, it would skip the warm-up of a short training.
    compiles: bool = False
    _since: float = field(default_factory=time.monotonic)

    def tick(self) -> None:
        """Count one more finished step."""
        now = time.monotonic()
        took = 0.0 if self.compiles else now - self._since
        self.step, self.seconds, self._since, self.compiles = self.step + 1, self.seconds + took, now, False

    @property
    def epoch(self) -> int:
        return self.step // self.steps_per_epoch

    @property
    def steps_into_epoch(self) -> int:
        return self.step % self.steps_per_epoch

    @property
    def fraction(self) -> float:
        if self.minutes is not None:
            return _share(self.seconds - self.began_seconds, 60 * self.minutes - self.began_seconds)
        return _share(self.step - self.began_step, self.epochs * self.steps_per_epoch - self.began_step)

    @property
    def done(self) -> bool:
        return self.fraction >= 1.0

    def now(self) -> Progress:
        return Progress(self.step, self.epoch, self.fraction)


def _share(done: float, whole: float) -> float:
    return min(1.0, done / whole) if whole > 0 else 1.0
