"""Intervals and paired differences, against SciPy and against resampling item by item."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from featurestore.metrics.statistics import (
    Difference,
    ItemDifference,
    bootstrap,
    compare_draws,
    compare_items,
    half_width,
    sign_test,
    student,
)

stats = pytest.importorskip("scipy.stats")  # comes with scikit-learn


@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 9, 10, 29, 100])
def test_students_t_is_that_of_scipy(freedom: int) -> None:
    assert student(freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=1e-10)


def test_half_width_by_hand() -> None:
    assert half_width([0.4, 0.6]) == pytest.approx(12.7062 * math.sqrt(0.02) / math.sqrt(2), rel=1e-5)
    assert half_width([0.5, 0.5, 0.5]) == 0


def test_the_bootstrap_is_that_of_items_drawn_again() -> None:
    right = np.arange(200) < 150
    rng = np.random.default_rng(7)
    shares = [right[rng.integers(0, 200, 200)].mean() for _ in range(4000)]
    assert bootstrap(right) == pytest.approx(np.percentile(shares, [2.5, 97.5]), abs=0.006)


def test_the_bootstrap_depends_on_the_seed_alone() -> None:
    right = np.random.default_rng(0).random(5000) < 0.7
    assert bootstrap(right, 1) == bootstrap(right, 1) != bootstrap(right, 2)


@pytest.mark.parametrize("share", [0, 1])
def test_a_share_of_none_or_all_has_no_spread(share: int) -> None:
    assert bootstrap(np.full(10, bool(share))) == (share, share)


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
    assert found.ci95 == pytest.approx(tuple(np.percentile(naive, [2.5, 97.5])), abs=0.006)
    assert (found.only_first, found.only_second) == (int((first & ~second).sum()), int((second & ~first).sum()))
    assert found.significant


def test_the_same_answers_differ_by_nothing() -> None:
    first, _ = answers(50, 0.5, 0.1, 0.2)
    found = compare_items(first, first)
    assert found == ItemDifference(0.0, (0.0, 0.0), 0, 0)
    assert not found.significant
    draws = np.array([0.5, 0.7, 0.6])
    assert compare_draws(draws, draws) == Difference(0.0, (0.0, 0.0))


def test_five_items_are_too_few_though_all_agree() -> None:
    """The bootstrap alone would be sure: whatever is drawn again says the same."""
    wrong, right = np.zeros(5, bool), np.ones(5, bool)
    found = compare_items(wrong, right)
    assert found.ci95 == (1.0, 1.0)
    assert not found.significant
    assert compare_items(np.zeros(6, bool), np.ones(6, bool)).significant  # 2 / 2^6 = 0.031


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
