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

Z = 1.959963984540054  # of the normal distribution: 95 % lie within -Z and Z
SIGNIFICANCE = Fraction(5, 100)  # largest chance of reporting a difference where there is none


def wilson(right: NDArray[np.bool_]) -> tuple[float, float]:
    """Compute the 95 % score interval of an accuracy (Wilson 1927); right: (n,), whether each item was predicted correctly.

    It has a width even when all items are right or all are wrong, and keeps its promise for few items, unlike a bootstrap.
    """
    return _score_interval(float(right.mean()), len(right))


def _score_interval(share: float, n: int) -> tuple[float, float]:
    centre = share + Z**2 / (2 * n)
    half = Z * math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    scale = 1 + Z**2 / n
    low, high = (centre - half) / scale, (centre + half) / scale
    return min(max(low, 0.0), share), max(min(high, 1.0), share)  # which rounding could leave by a hair


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
        """Whether the interval excludes 0 and the exact sign test (McNemar 1947) agrees: with few items the interval alone is too sure."""
        low, high = self.ci95
        return not low <= 0 <= high and sign_test(self.only_first, self.only_second) < SIGNIFICANCE


def compare_items(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> ItemDifference:
    """Compare two classifiers by which of the same n items each predicts correctly; first, second: (n,).

    The interval is the score interval of a paired difference (Newcombe 1998, Statistics in Medicine 17, 2635, method 10): the Wilson
    intervals of both, joined by the correlation of their answers.
    """
    n, lost, won = len(first), int((first & ~second).sum()), int((second & ~first).sum())
    p, q = float(first.mean()), float(second.mean())
    (p_low, p_high), (q_low, q_high) = wilson(first), wilson(second)
    phi = _correlation(int((first & second).sum()), lost, won, int((~first & ~second).sum()))

    def reach(down: float, up: float) -> float:
        return math.sqrt(max(down**2 - 2 * phi * down * up + up**2, 0.0))

    mean = (won - lost) / n
    low, high = mean - reach(q - q_low, p_high - p), mean + reach(q_high - q, p - p_low)
    return ItemDifference(mean, (max(low, -1.0), min(high, 1.0)), lost, won)


def compare_shares(first: float, second: float, n: int) -> Difference:
    """Compare two accuracies on n items each, when it is not known which items were right.

    The interval is the score interval of independent accuracies (Newcombe 1998, Statistics in Medicine 17, 873, method 10). On the same
    items it is wider than that of `compare_items` as a rule.
    """
    (p_low, p_high), (q_low, q_high) = _score_interval(first, n), _score_interval(second, n)
    mean = second - first
    return Difference(
        mean, (mean - math.hypot(second - q_low, p_high - first), mean + math.hypot(q_high - second, first - p_low))
    )


def _correlation(both: int, lost: int, won: int, neither: int) -> float:
    """Compute the correlation of two lines of right and wrong, with Newcombe's correction for continuity; 0 when one is constant."""
    n = both + lost + won + neither
    margins = (both + lost) * (won + neither) * (both + won) * (lost + neither)
    if margins == 0:
        return 0.0
    product = both * neither - lost * won
    return (max(product - n / 2, 0.0) if product > 0 else product) / math.sqrt(margins)


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
