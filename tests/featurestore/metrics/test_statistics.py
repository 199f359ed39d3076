"""Intervals and paired differences, against SciPy and against resampling item by item."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from featurestore.metrics.statistics import (
    Difference,
    compare_draws,
    compare_items,
    compare_shares,
    half_width,
    sign_test,
    student,
    wilson,
)

stats = pytest.importorskip("scipy.stats")  # comes with scikit-learn


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 9, 10, 29, 100])
def test_students_t_is_that_of_scipy(freedom: int) -> None:
    assert student(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=1e-10)


def test_half_width_by_hand() -> None:
    assert half_width([0.4, 0.6]) == pytest.approx(12.7062 * math.sqrt(0.02) / math.sqrt(2), rel=1e-5)
    assert half_width([0.5, 0.5, 0.5]) == 0


@pytest.mark.parametrize(("count", "n"), [(0, 1), (1, 1), (5, 5), (0, 20), (3, 7), (150, 200), (4999, 5000)])
def test_the_interval_of_a_share_is_wilsons(count: int, n: int) -> None:
    expected = stats.binomtest(count, n).proportion_ci(method="wilson")
    low, high = wilson(np.arange(n) < count)
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-12)
    assert 0 <= low <= count / n <= high <= 1
    assert high - low > 0


def test_five_of_five_may_be_less_than_all() -> None:
    assert wilson(np.ones(5, bool)) == pytest.approx((5 / (5 + 1.96**2), 1), abs=1e-4)


# -- paired differences


def answers(n: int, both: float, first: float, second: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Two lines of right and wrong: shares of items that both, only the first, and only the second got right."""
    drawn = np.random.default_rng(0).random(n)
    return drawn < both + first, (drawn < both) | ((drawn >= both + first) & (drawn < both + first + second))


def test_the_interval_is_that_of_items_drawn_again_with_both_their_answers() -> None:
    first, second = answers(400, 0.5, 0.1, 0.2)
    found = compare_items(first, second)
    rng = np.random.default_rng(7)
    difference = second.astype(int) - first.astype(int)
    naive = [float(difference[rng.integers(0, 400, 400)].mean()) for _ in range(4000)]
    assert found.mean == pytest.approx(second.mean() - first.mean())
    assert found.ci95 == pytest.approx(tuple(np.percentile(naive, [2.5, 97.5])), abs=0.008)
    assert (found.only_first, found.only_second) == (int((first & ~second).sum()), int((second & ~first).sum()))
    assert found.significant


@pytest.mark.parametrize(
    ("first", "second", "interval"), [(0.3, 0.9, (0.1705, 0.8090)), (0.0, 1.0, (0.6075, 1.0)), (0.0, 0.0, (-0.2775, 0.2775))]
)  # fmt: skip
def test_the_interval_of_independent_shares_is_that_of_newcombes_table(
    first: float, second: float, interval: tuple[float, float]
) -> None:
    found = compare_shares(first, second, 10)  # method 10 of his table II
    assert found.mean == pytest.approx(second - first)
    assert found.ci95 == pytest.approx(interval, abs=5e-5)


def test_the_same_answers_differ_by_nothing() -> None:
    first, _ = answers(50, 0.5, 0.1, 0.2)
    found = compare_items(first, first)
    assert (found.mean, found.only_first, found.only_second) == (0.0, 0, 0)
    assert found.ci95[0] == -found.ci95[1]
    assert 0 < found.ci95[1] < 0.1
    assert not found.significant
    draws = np.array([0.5, 0.7, 0.6])
    assert compare_draws(draws, draws) == Difference(0.0, (0.0, 0.0))


def test_five_items_are_too_few_though_all_agree() -> None:
    """The interval alone would be sure."""
    wrong, right = np.zeros(5, bool), np.ones(5, bool)
    found = compare_items(wrong, right)
    assert found.ci95 == pytest.approx(
        (1 - math.sqrt(2) * (1 - 5 / (5 + 1.96**2)), 1), abs=1e-4
    )  # both shares may be off by as much
    assert not found.significant
    assert compare_items(np.zeros(6, bool), np.ones(6, bool)).significant  # 2 / 2^6 = 0.031


def test_the_interval_of_a_difference_holds_the_true_one_nineteen_times_in_twenty() -> None:
    rng = np.random.default_rng(3)
    held = 0
    for _ in range(400):
        drawn = rng.random(30)  # both right, only the first, only the second, neither
        found = compare_items(drawn < 0.75, (drawn < 0.6) | ((drawn >= 0.75) & (drawn < 0.85)))
        held += found.ci95[0] <= -0.05 <= found.ci95[1]
    assert 0.93 <= held / 400 <= 0.99


@pytest.mark.parametrize(("a", "b"), [(0, 0), (0, 5), (0, 6), (3, 3), (2, 9), (40, 61), (1200, 1300)])
def test_the_sign_test_is_the_binomial_one(a: int, b: int) -> None:
    expected = stats.binomtest(a, a + b, 0.5).pvalue if a + b else 1
    assert float(sign_test(a, b)) == pytest.approx(expected)
    assert sign_test(a, b) == sign_test(b, a)


def test_draws_are_compared_by_students_t_of_their_differences() -> None:
    rng = np.random.default_rng(0)
    hard = rng.normal(0.6, 0.1, 10)  # what a draw makes of both
    first, second = hard, hard + rng.normal(0.02, 0.01, 10)
    found = compare_draws(first, second)
    expected = stats.ttest_rel(second, first).confidence_interval(0.95)
    assert found.mean == pytest.approx((second - first).mean())
    assert found.ci95 == pytest.approx((expected.low, expected.high))
