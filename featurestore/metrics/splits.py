"""Splits of labelled rows in which every class has its share, also where classes are small."""

import numpy as np
from numpy.typing import NDArray


def folds(labels: NDArray[np.integer], count: int, seed: int = 0) -> NDArray[np.int64]:
    """Deal rows out into `count` folds, class after class: the fold of each row, (N,). Folds, and a class in them, differ in size by one at most."""
    order = _by_class(labels, seed)
    fold = np.empty(len(labels), np.int64)
    fold[order] = np.arange(len(labels)) % count
    return fold


def held_out(labels: NDArray[np.integer], share: float, seed: int = 0) -> NDArray[np.bool_]:
    """Mark a share of the rows, (N,), of each class alike, at least one row in all; every class keeps a row that is not marked.

    Nothing is marked where every class has one row only.
    """
    order = _by_class(labels, seed)
    sorted_labels = labels[order]
    first = np.r_[True, sorted_labels[1:] != sorted_labels[:-1]][: len(order)]
    free = order[~first]
    marked = np.zeros(len(labels), bool)
    wanted = min(len(free), max(1, round(share * len(labels))))
    if wanted:
        marked[free[((np.arange(wanted) + 0.5) * len(free) / wanted).astype(int)]] = True
    return marked


def _by_class(labels: NDArray[np.integer], seed: int) -> NDArray[np.intp]:
    """All rows, one class after the other, in each by chance."""
    chance = np.random.default_rng(seed).permutation(len(labels))
    return chance[np.argsort(labels[chance], kind="stable")]
