"""Splits and draws by class."""

import math

import numpy as np
import pytest

from featurestore.errors import EvaluationError
from featurestore.metrics.splits import folds, fraction_draws, held_out, shot_draws

LABELS = np.random.default_rng(0).permutation(np.repeat([0, 3, 4, 9], [40, 23, 5, 1]))


def test_folds_and_the_classes_in_them_differ_by_one_at_most() -> None:
    fold = folds(LABELS, 5)
    for rows in (fold, *(fold[c == LABELS] for c in (0, 3, 4, 9))):
        counts = np.bincount(rows, minlength=5)
        assert counts.max() - counts.min() <= 1


def test_a_tenth_of_each_class_is_held_out() -> None:
    marked = held_out(LABELS, 0.1)
    assert (marked.sum(), marked[LABELS == 0].sum(), marked[LABELS == 3].sum()) == (7, 4, 3)


def test_every_class_keeps_a_row() -> None:
    for share in (0.1, 0.9, 1.0):
        assert set(LABELS[~held_out(LABELS, share)].tolist()) == {0, 3, 4, 9}


def test_one_row_at_least_is_held_out_where_some_class_has_two() -> None:
    assert held_out(np.array([0, 1, 1]), 0.1).tolist() in ([False, True, False], [False, False, True])
    assert not held_out(np.array([0, 1, 2]), 0.1).any()


def test_splits_depend_on_the_seed_alone() -> None:
    for split in (lambda seed: folds(LABELS, 5, seed), lambda seed: held_out(LABELS, 0.1, seed)):
        assert split(1).tolist() == split(1).tolist() != split(2).tolist()


# -- draws


def test_draws_take_so_many_of_each_class() -> None:
    labels = np.array([2, 0, 0, 2, 2, 0, 5, 5])
    for rows in shot_draws(labels, shots=2, tries=5):
        assert sorted(labels[list(set(rows.tolist()))].tolist()) == [0, 0, 2, 2, 5, 5]


def test_draws_of_a_share_take_at_least_one_of_each_class() -> None:
    labels = np.repeat([0, 1, 2], [100, 40, 3])
    for rows in fraction_draws(labels, 0.1, tries=3):
        assert np.bincount(labels[list(set(rows.tolist()))]).tolist() == [10, 4, 1]
    [everything] = fraction_draws(labels, 1.0, tries=1)
    assert sorted(everything.tolist()) == list(range(143))


def test_a_try_depends_on_its_number_alone() -> None:
    labels = np.repeat([0, 1], 30)
    several = [rows.tolist() for rows in shot_draws(labels, 3, tries=4, seed=10)]
    assert [rows.tolist() for rows in shot_draws(labels, 3, tries=2, seed=12)] == several[2:]
    assert len({tuple(rows) for rows in several}) == 4


def test_draws_of_more_labels_hold_those_of_fewer() -> None:
    labels = np.repeat([0, 1], 30)
    for few, more, share in zip(
        shot_draws(labels, 2, 3), shot_draws(labels, 5, 3), fraction_draws(labels, 0.5, 3), strict=True
    ):
        assert set(few.tolist()) < set(more.tolist()) < set(share.tolist())


@pytest.mark.parametrize("shots", [0, 3])
def test_more_shots_than_the_smallest_class_has_are_refused(shots: int) -> None:
    labels = np.array([0, 0, 0, 1, 1])
    for names, smallest in ((None, "1"), (["tulip", "rose"], "rose")):
        expected = rf"expected between 1 and 2, the labels of the smallest class \({smallest} has 2\)"
        with pytest.raises(EvaluationError, match=expected):
            shot_draws(labels, shots, tries=1, names=names)


def test_classes_with_too_few_labels_are_listed_up_to_five() -> None:
    labels = np.repeat(np.arange(9), [8, 1, 2, 3, 4, 5, 6, 7, 9])
    with pytest.raises(EvaluationError, match=r"\(b has 1, c has 2, d has 3, e has 4, f has 5 and 2 more\)"):
        shot_draws(labels, 8, tries=1, names="abcdefghi")


@pytest.mark.parametrize("fraction", [0.0, -0.1, 1.1, math.nan])
def test_a_share_out_of_range_is_refused(fraction: float) -> None:
    with pytest.raises(EvaluationError, match="expected more than 0 and at most 1"):
        fraction_draws(np.array([0, 1]), fraction, tries=1)
