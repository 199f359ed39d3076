"""Two ways to name the same items, or by the same draws, side by side: how much better the second is, and whether that can be told.

What is hard for both cancels out, so that far smaller differences show than between two intervals.
"""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from featurestore.metrics.statistics import RESAMPLED, TAIL, half_width

CHANCE = Fraction(5, 100)  # of being wrong when a difference is told where there is none


@dataclass(frozen=True, slots=True)
class Difference:
    """How much larger the second's share of right answers is, and its 95 % interval: fractions, from -1 to 1."""

    mean: float
    ci95: tuple[float, float]


@dataclass(frozen=True, slots=True)
class ItemDifference(Difference):
    """The same by items, with how many of them only one of the two got right."""

    only_first: int
    only_second: int

    @property
    def told(self) -> bool:
        """Whether the interval leaves out 0, and so does the exact sign test (McNemar 1947): of few items a bootstrap promises too much."""
        low, high = self.ci95
        return not low <= 0 <= high and sign_test(self.only_first, self.only_second) < CHANCE


def by_items(first: NDArray[np.bool_], second: NDArray[np.bool_], seed: int = 0) -> ItemDifference:
    """Compare by whether each of the same n items was named rightly; first, second: (n,).

    The interval is the paired bootstrap (Efron 1979): items are drawn again with replacement, each with both its answers. How many are
    right by one alone is multinomial, so that no item needs to be drawn at all.
    """
    n = len(first)
    lost, won = int((first & ~second).sum()), int((second & ~first).sum())
    drawn = np.random.default_rng(seed).multinomial(n, np.array([lost, won, n - lost - won]) / n, RESAMPLED)
    low, high = np.percentile((drawn[:, 1] - drawn[:, 0]) / n, [TAIL, 100 - TAIL])
    return ItemDifference((won - lost) / n, (float(low), float(high)), lost, won)


def by_draws(first: NDArray[np.floating], second: NDArray[np.floating]) -> Difference:
    """Compare by the shares that were right in each of the same draws, by Student's t of their differences; first, second: (draws,)."""
    differences = second - first
    mean, half = float(differences.mean()), half_width(differences)
    return Difference(mean, (mean - half, mean + half))


def sign_test(a: int, b: int) -> Fraction:
    """The chance that two that are equally good differ by so many items or more: twice the tail of the binomial, exact."""
    n, term, tail = a + b, 1, 0
    for i in range(min(a, b) + 1):  # term: n over i
        tail += term
        term = term * (n - i) // (i + 1)
    return min(Fraction(2 * tail, 2**n), Fraction(1))
