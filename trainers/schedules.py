"""Schedules: pure functions of the fraction of the training that is spent, in [0, 1]."""

import math


def cosine(fraction: float, start: float, end: float) -> float:
    """Go from `start` to `end` along half a cosine."""
    return end + (start - end) * (1 + math.cos(math.pi * min(max(fraction, 0.0), 1.0))) / 2


def warmup_cosine(fraction: float, peak: float, warmup: float, end: float = 0.0) -> float:
    """Rise linearly to `peak` over the first `warmup` share, then fall to `end` along half a cosine."""
    if fraction < warmup:
        return peak * fraction / warmup
    return cosine((fraction - warmup) / (1 - warmup), peak, end) if warmup < 1 else peak
