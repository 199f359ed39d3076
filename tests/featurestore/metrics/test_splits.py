"""Splits by class."""

import numpy as np
import pytest

from featurestore.metrics.splits import folds, held_out

LABELS = np.random.default_rng(0).permutation(np.repeat([0, 3, 4, 9], [40, 23, 5, 1]))


def test_folds_and_the_classes_in_them_differ_by_one_at_most() -> None:
    fold = folds(LABELS, 5)
    for rows in (fold, *(fold[c == LABELS] for c in (0, 3, 4, 9))):
        counts = np.bincount(rows, minlength=5)
        assert counts.max() - counts.min() <= 1


def test_a_tenth_of_each_class_is_held_out() -> None:
    marked = held_out(LABELS, 0.1)
    assert marked.sum() == 7
    assert marked[LABELS == 0].sum() == 4
    assert marked[LABELS == 3].sum() == 3


@pytest.mark.parametrize("share", [0.1, 0.9, 1.0])
def test_every_class_keeps_a_row(share: int) -> None:
    kept = LABELS[~held_out(LABELS, share)]
    assert set(kept.tolist()) == {0, 3, 4, 9}


def test_one_row_at_least_is_held_out_where_some_class_has_two() -> None:
    assert held_out(np.array([0, 1, 1]), 0.1).tolist() in ([False, True, False], [False, False, True])
    assert not held_out(np.array([0, 1, 2]), 0.1).any()


def test_splits_depend_on_the_seed_alone() -> None:
    for split in (lambda seed: folds(LABELS, 5, seed), lambda seed: held_out(LABELS, 0.1, seed)):
        assert split(1).tolist() == split(1).tolist() != split(2).tolist()
