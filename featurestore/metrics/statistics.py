"""Confidence intervals of accuracies, and of the difference between two classifiers on the same items or the same draws.

A paired difference shows far smaller effects than two separate intervals, since items that are hard for both cancel out.
scipy is not used: `knn` and `compare` run on the core installation, which does not have it.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

RESAMPLES = 10_000  # of a bootstrap
TAIL = 2.5  # per cent beyond each end of an interval
SIGNIFICANCE = Fraction(5, 100)  # largest chance of reporting a difference where there is none


def bootstrap(right: NDArray[np.bool_], seed: int = 0) -> tuple[float, float]:
    """Compute the 95 % bootstrap interval of an accuracy (Efron 1979); right: (n,), whether each item was predicted correctly.

    The number of correct items in a resample of n is binomial, so it is drawn directly and no item is resampled.
    """
    shares = np.random.default_rng(seed).binomial(len(right), right.mean(), RESAMPLES) / len(right)
    low, high = np.percentile(shares, [TAIL, 100 - TAIL])
    return float(low), float(high)


def half_width(values: Sequence[float] | NDArray[np.floating]) -> float:
    """Compute half the width of the 95 % interval of the mean of n values, n >= 2, by Student's t with n - 1 degrees of freedom."""
    return student(len(values) - 1) * float(np.std(values, ddof=1)) / math.sqrt(len(values))


def student(freedom: int) -> float:
    """Compute the two-sided 95 % quantile of Student's t with `freedom` degrees of freedom, by bisection."""
    low, high = 0.0, math.pi / 2
    for _ in range(60):
        angle = (low + high) / 2
        low, high = (angle, high) if _probability_within(angle, freedom) < 0.95 else (low, angle)
    return math.sqrt(freedom) * math.tan(low)


def _probability_within(angle: float, freedom: int) -> float:
    """Compute the probability of |t| <= sqrt(freedom) tan(angle); Abramowitz and Stegun 1964, 26.7.3 and 26.7.4."""
    odd = freedom % 2
    term = math.cos(angle) if odd else 1.0
    total = 0.0
    for power in range(2 + odd, freedom + 1, 2):
        total += term
        term *= math.cos(angle) ** 2 * (power - 1) / power
    return (angle + math.sin(angle) * total) * 2 / math.pi if odd else math.sin(angle) * total


@dataclass(frozen=True, slots=True)
class Difference:
    """Accuracy of the second minus that of the first, with its 95 % interval: from -1 to 1."""

    mean: float
    ci95: tuple[float, float]


@dataclass(frozen=True, slots=True)
class ItemDifference(Difference):
    """A difference on the same items."""

    only_first: int  # items that only the first predicts correctly
    only_second: int

    @property
    def significant(self) -> bool:
        """Whether the interval excludes 0 and the exact sign test (McNemar 1947) agrees: with few items the bootstrap alone is too sure."""
        low, high = self.ci95
        return not low <= 0 <= high and sign_test(self.only_first, self.only_second) < SIGNIFICANCE


def compare_items(first: NDArray[np.bool_], second: NDArray[np.bool_], seed: int = 0) -> ItemDifference:
    """Compare two classifiers by which of the same n items each predicts correctly; first, second: (n,).

    The interval is the paired bootstrap (Efron 1979). The counts in a resample are multinomial, so they are drawn directly.
    """
    n = len(first)
    lost, won = int((first & ~second).sum()), int((second & ~first).sum())
    drawn = np.random.default_rng(seed).multinomial(n, np.array([lost, won, n - lost - won]) / n, RESAMPLES)
    low, high = np.percentile((drawn[:, 1] - drawn[:, 0]) / n, [TAIL, 100 - TAIL])
    return ItemDifference((won - lost) / n, (float(low), float(high)), lost, won)


def compare_draws(first: NDArray[np.floating], second: NDArray[np.floating]) -> Difference:
    """Compare accuracies on the same draws by Student's t of their differences; first, second: (draws,)."""
    differences = second - first
    mean, half = float(differences.mean()), half_width(differences)
    return Difference(mean, (mean - half, mean + half))


def sign_test(a: int, b: int) -> Fraction:
    """Compute the two-sided p-value of the exact sign test: twice the binomial tail of min(a, b) out of a + b, at most 1."""
    n, term, tail = a + b, 1, 0
    for i in range(min(a, b) + 1):  # term: n over i
        tail += term
        term = term * (n - i) // (i + 1)
    return min(Fraction(2 * tail, 2**n), Fraction(1))
