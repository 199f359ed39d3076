"""Schedules: pure functions of the share of the training that is done, in [0, 1]."""

import math
from typing import Literal


def cosine(fraction: float, start: float, end: float) -> float:
    """Go from `start` to `end` along half a cosine."""
    return end + (start - end) * (1 + math.cos(math.pi * min(max(fraction, 0.0), 1.0))) / 2


def momentum_at(fraction: float, start: float, schedule: Literal["cosine", "constant"]) -> float:
    """Give a teacher's momentum: it rises from `start` to 1 along half a cosine (BYOL, section 3.2), or stays (MoCo)."""
    return start if schedule == "constant" else cosine(fraction, start, 1.0)


def learning_rate(fraction: float, peak: float, warmup: float, schedule: Literal["cosine", "steps"]) -> float:
    """Rise linearly to `peak` over the first `warmup` share, then fall along half a cosine to zero, or in steps.

    The steps are those of MoCo v1's official code: to a tenth at epochs 120 and 160 of 200.
    """
    if fraction < warmup:
        return peak * fraction / warmup
    if schedule == "steps":
        return peak * (1.0 if fraction < 0.6 else 0.1 if fraction < 0.8 else 0.01)
    return cosine((fraction - warmup) / (1 - warmup), peak, 0.0)
