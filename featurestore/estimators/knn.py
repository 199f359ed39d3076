"""Weighted k-NN classification: each of the k nearest labelled vectors votes for its class with weight exp(score / T).

Protocol of DINO (Caron et al. 2021, appendix F.1).
"""

import numpy as np
from numpy.typing import NDArray

K, TEMPERATURE = 20, 0.07
TOP = 5
BLOCK = 4_096  # queries compared, or counted, together
COMPARED = 1 << 24  # scores held at a time

Labels = NDArray[np.integer]


def neighbours(
    bank: NDArray[np.floating], queries: NDArray[np.floating], k: int, block: int = BLOCK
) -> tuple[NDArray[np.floating], NDArray[np.intp]]:
    """Find the k nearest of a bank (n, D) for each query (M, D): scores and indices, (M, k), best first, equal scores by index."""
    step = max(1, min(block, COMPARED // len(bank)))
    found = [top_scores(queries[start : start + step] @ bank.T, k) for start in range(0, len(queries), step)]
    scores = [np.empty((0, k), bank.dtype), *(part[0] for part in found)]
    indices = [np.empty((0, k), np.intp), *(part[1] for part in found)]
    return np.concatenate(scores), np.concatenate(indices)


def top_scores(scores: NDArray[np.floating], k: int) -> tuple[NDArray[np.floating], NDArray[np.intp]]:
    """Find the k best of each row of scores (B, n): scores and indices, (B, k), best first, equal scores by index."""
    indices = np.sort(np.argpartition(-scores, k - 1, axis=1)[:, :k], axis=1)
    found = np.take_along_axis(scores, indices, axis=1)
    tied = (scores == found.min(axis=1, keepdims=True)).sum(axis=1) > 1  # a partition picks any of equal scores
    for row in np.flatnonzero(tied):
        indices[row] = np.argsort(-scores[row], kind="stable")[:k]
        found[row] = scores[row, indices[row]]
    order = np.argsort(-found, axis=1, kind="stable")
    return np.take_along_axis(found, order, axis=1), np.take_along_axis(indices, order, axis=1)


def votes(scores: NDArray[np.floating], labels: Labels, classes: int, temperature: float) -> NDArray[np.float64]:
    """Sum the weights exp(score / T) of the neighbours by class: (N, classes). Each row is divided by its largest weight, against overflow.

    scores: (N, K), descending; labels: (N, K), in [0, classes), or (N, K, L) where a neighbour votes for each of its up to L labels,
    with -1 for none.
    """
    weights = np.exp((scores - scores[:, :1]).astype(np.float64) / temperature)
    labels = labels.reshape(*scores.shape, -1)
    cells = np.arange(len(labels))[:, None, None] * classes + labels
    weights = np.where(labels < 0, 0, weights[:, :, None])
    summed = np.bincount(cells.clip(0).ravel(), weights.ravel(), minlength=len(labels) * classes)
    return summed.astype(np.float64, copy=False).reshape(-1, classes)


def top_classes(vote: NDArray[np.float64], top: int = 1) -> NDArray[np.intp]:
    """Find the `top` classes with most votes, best first: (N, top), -1 where no further class has votes. Equal votes: the first class."""
    left = vote.copy()
    rows = np.arange(len(vote))
    ranked = np.empty((len(vote), top), np.intp)
    for place in range(top):
        best = left.argmax(axis=1)
        ranked[:, place] = np.where(left[rows, best] > 0, best, -1)
        left[rows, best] = 0
    return ranked


def rank_classes(
    scores: NDArray[np.floating], labels: Labels, classes: int, temperature: float, top: int = TOP, block: int = BLOCK
) -> NDArray[np.intp]:
    """Rank classes by the votes of all K neighbours: (N, top), as `top_classes`; arguments as of `votes`."""
    parts = [slice(start, start + block) for start in range(0, len(scores), block)]
    ranked = [top_classes(votes(scores[part], labels[part], classes, temperature), top) for part in parts]
    return np.concatenate([np.empty((0, top), np.intp), *ranked])


def predict(
    train_x: NDArray[np.floating], train_y: Labels, test_x: NDArray[np.floating], k: int = K, block: int = BLOCK
) -> Labels:
    """Predict by the vote of the k nearest, or of all when there are fewer, at T = 0.07: labels of test_x (M,)."""
    classes, codes = np.unique(train_y, return_inverse=True)
    scores, indices = neighbours(train_x, test_x, min(k, len(train_x)), block)
    predicted: Labels = classes[rank_classes(scores, codes[indices], len(classes), TEMPERATURE, 1, block)[:, 0]]
    return predicted


def predict_nearest(train_x: NDArray[np.floating], train_y: Labels, test_x: NDArray[np.floating]) -> Labels:
    """Predict the class of the single nearest vector: (M,)."""
    return predict(train_x, train_y, test_x, k=1)
