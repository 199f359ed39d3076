"""The length of a training, by the speed of this machine, before it begins."""

import sys

from trainers.config.machine import on_several
from trainers.config.schema import Config
from trainers.config.time_budget import Measure

SHORT = 900  # seconds of a training, for which nothing else is offered
TIMED_FROM = 0.5  # minutes of a training; in a shorter one the timing would take too much of them


def images_seen(config: Config, images: int, measure: Measure) -> float | None:
    """Measure how many images a training of some minutes sees in all; None without minutes, and where that is not known.

    A network that may not fit the memory, and a training on several devices or without a recipe, are not timed.
    """
    if config.minutes is None or config.minutes < TIMED_FROM:
        return None
    if config.recipe != "auto" or on_several({"devices": config.devices}):
        return None
    return 60 * config.minutes * measure(config, images, sys.float_info.min) or None


def say_length(config: Config, images: int, measure: Measure) -> str:
    """Say how long a training takes whose length the recipe has chosen, and what else there is."""
    speed = measure(config, images, sys.float_info.min)
    if not speed:
        return "this network may not fit the memory; --minutes 10 chooses one that does"
    seconds = config.epochs * images / speed
    said = f"{config.epochs} epochs will take about {_spoken(seconds)} on this machine"
    if seconds <= SHORT:
        return said
    return f"{said}; --minutes 10 trains for ten minutes, with a network and a size chosen for that"


def _spoken(seconds: float) -> str:
    """Say a length of time in its largest fitting unit."""
    for unit, size in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"
