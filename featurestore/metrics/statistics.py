"""Intervals: how far a figure may lie from what the same measurement on other items, or with other draws, would give."""

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

RESAMPLED = 10_000  # times that items are drawn again
TAIL = 2.5  # per cent beyond each end of an interval


def bootstrap(right: NDArray[np.bool_], seed: int = 0) -> tuple[float, float]:
    """The 95 % interval of a share: right, (n,), says of each item whether it counts.

    Items are drawn again with replacement, and the middle 95 % of the shares kept (Efron 1979). How many of n draws are right is
    binomial, so that no item needs to be drawn at all.
    """
    shares = np.random.default_rng(seed).binomial(len(right), right.mean(), RESAMPLED) / len(right)
    low, high = np.percentile(shares, [TAIL, 100 - TAIL])
    return float(low), float(high)


def half_width(values: Sequence[float] | NDArray[np.floating]) -> float:
    """Half the 95 % interval of the mean of n values, two or more, by Student's t with n - 1 degrees of freedom."""
    return student(len(values) - 1) * float(np.std(values, ddof=1)) / math.sqrt(len(values))


def student(freedom: int) -> float:
    """The t that a value stays below, on either side, with 95 % chance; freedom: 1 or more."""
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        angle = (low + high) / 2
        low, high = (angle, high) if _within(angle, freedom) < 0.95 else (low, angle)
    return math.sqrt(freedom) * math.tan(low)


def _within(angle: float, freedom: int) -> float:
    """The chance of |t| <= sqrt(freedom) tan(angle); Abramowitz and Stegun 1964, 26.7.3 and 26.7.4."""
    odd = freedom % 2
    term = math.cos(angle) if odd else 1.0
    total = 0.0
    for power in range(2 + odd, freedom + 1, 2):
        total += term
        term *= math.cos(angle) ** 2 * (power - 1) / power
    return (angle + math.sin(angle) * total) * 2 / math.pi if odd else math.sin(angle) * total
