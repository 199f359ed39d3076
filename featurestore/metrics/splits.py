"""Splits and draws of labelled rows, class by class, so that small classes get their share too. The same seed gives the same rows."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from featurestore.errors import EvaluationError
from featurestore.metrics.checks import first_few


def folds(labels: NDArray[np.integer], count: int, seed: int = 0) -> NDArray[np.int64]:
    """Assign each row to one of `count` folds: (N,). The sizes of folds, and of a class within them, differ by at most one."""
    order = _by_class(labels, seed)
    fold = np.empty(len(labels), np.int64)
    fold[order] = np.arange(len(labels)) % count
    return fold


def folds_of_repeated(labels: NDArray[np.integer], count: int, seed: int = 0) -> NDArray[np.int64]:
    """Assign each row to the fold in which it is left out: (N,), as `folds`; -1 for the only one of its class, which is never left out.

    labels: (N,), from 0. There are at most as many folds as rows in them.
    """
    repeated = np.bincount(labels)[labels] > 1
    fold = np.full(len(labels), -1)
    fold[repeated] = folds(labels[repeated], min(count, int(repeated.sum())), seed)
    return fold


def held_out(labels: NDArray[np.integer], share: float, seed: int = 0) -> NDArray[np.bool_]:
    """Mark a share of the rows of each class as held out: (N,). At least one row in all; every class keeps a row that is not marked.

    Nothing is marked when every class has a single row.
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


def draw(labels: NDArray[np.integer], counts: NDArray[np.integer], seed: int) -> NDArray[np.intp]:
    """Draw counts[i] rows of the i-th class without replacement: rows of `labels` (N,), ascending.

    The order in which a class is drawn depends on seed and class alone, so a larger draw contains the smaller one.
    """
    drawn = [
        np.random.default_rng([seed, int(code)]).permutation(np.flatnonzero(labels == code))[:count]
        for code, count in zip(np.unique(labels), counts, strict=True)
    ]
    return np.sort(np.concatenate(drawn))


def share_counts(labels: NDArray[np.integer], share: float, least: int) -> NDArray[np.intp]:
    """Compute how many rows a share of each class is, rounded: (C,). At least `least`, or all rows of a class with fewer."""
    counts = np.unique(labels, return_counts=True)[1]
    rounded: NDArray[np.intp] = np.rint(share * counts).astype(np.intp)
    return np.maximum(np.minimum(least, counts), rounded)


def shot_draws(
    labels: NDArray[np.integer], shots: int, tries: int, seed: int = 0, names: Sequence[str] | None = None
) -> Iterator[NDArray[np.intp]]:
    """Draw `shots` rows of each class, `tries` times; try t depends on seed + t alone.

    Raises EvaluationError when a class has fewer rows than shots; the message takes class names from `names`.
    """
    classes, counts = np.unique(labels, return_counts=True)
    least = int(counts.min())
    if not 1 <= shots <= least:
        called = classes if names is None else [names[c] for c in classes]
        few = [f"{name} has {n}" for name, n in zip(called, counts, strict=True) if n < max(shots, least + 1)]
        raise EvaluationError(
            f"shots = {shots}: expected between 1 and {least}, the labels of the smallest class ({first_few(few)})"
        )
    return (draw(labels, np.full(len(classes), shots), seed + t) for t in range(tries))


def fraction_draws(
    labels: NDArray[np.integer], fraction: float, tries: int, seed: int = 0
) -> Iterator[NDArray[np.intp]]:
    """Draw a fraction of each class, at least one row, `tries` times as `shot_draws` does. Raises EvaluationError when it is not in (0, 1]."""
    if not 0 < fraction <= 1:
        raise EvaluationError(f"fraction = {fraction}: expected more than 0 and at most 1, such as 0.01")
    counts = share_counts(labels, fraction, least=1)
    return (draw(labels, counts, seed + t) for t in range(tries))


def _by_class(labels: NDArray[np.integer], seed: int) -> NDArray[np.intp]:
    """Order all rows by class, shuffled within each class."""
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    return shuffled[np.argsort(labels[shuffled], kind="stable")]
