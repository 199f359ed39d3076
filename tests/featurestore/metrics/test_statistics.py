"""Intervals, against printed tables and against drawing items again one by one."""

import math

import numpy as np
import pytest

from featurestore.metrics.statistics import bootstrap, half_width, student


@pytest.mark.parametrize(
    ("freedom", "printed"),
    [
        (1, 12.7062),
        (2, 4.30265),
        (3, 3.18245),
        (4, 2.77645),
        (9, 2.26216),
        (10, 2.22814),
        (29, 2.04523),
        (100, 1.98397),
    ],
)
def test_students_t_is_that_of_the_tables(freedom: int, printed: float) -> None:
    assert student(freedom) == pytest.approx(printed, abs=5e-5 if freedom == 1 else 5e-6)


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
def test_what_is_always_so_has_no_spread(share: int) -> None:
    assert bootstrap(np.full(10, bool(share))) == (share, share)
