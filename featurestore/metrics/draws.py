"""Draws of labelled rows, class by class and by seed: those of more labels hold those of fewer."""

import numpy as np
from numpy.typing import NDArray


def draw(labels: NDArray[np.integer], counts: NDArray[np.integer], seed: int) -> NDArray[np.intp]:
    """Draw `counts` rows of the classes, in the order of their codes, without replacement: rows of `labels` (N,), ascending.

    A class is shuffled by seed and class alone.
    """
    drawn = [
        np.random.default_rng([seed, int(code)]).permutation(np.flatnonzero(labels == code))[:count]
        for code, count in zip(np.unique(labels), counts, strict=True)
    ]
    return np.sort(np.concatenate(drawn))


def share_counts(labels: NDArray[np.integer], share: float, least: int) -> NDArray[np.intp]:
    """Say how many rows of each class a share of them is, rounded, and no fewer than `least` where a class has so many."""
    counts = np.unique(labels, return_counts=True)[1]
    rounded: NDArray[np.intp] = np.rint(share * counts).astype(np.intp)
    return np.maximum(np.minimum(least, counts), rounded)
