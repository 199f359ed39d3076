"""How long a training will take, said before it begins."""

import sys

from trainers.config.schema import Config
from trainers.config.time_budget import Measure


def say_length(config: Config, images: int, measure: Measure) -> str:
    """Say how long a training takes whose length the recipe has chosen, and what else there is."""
    speed = measure(config, images, sys.float_info.min)
    if not speed:
        return "this network may not fit the memory; --minutes 10 chooses one that does"
    wanted = config.epochs * images
    return (
        f"{config.epochs} epochs will take about {_spoken(wanted / speed)} at the speed of this machine; --minutes 10 would take ten minutes, "
        f"with a network and a size chosen for that, or with this one {min(1.0, 600 * speed / wanted):.0%} of these epochs"
    )


def _spoken(seconds: float) -> str:
    """Say a length of time in its largest fitting unit."""
    for unit, size in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} seconds"
