"""Nearest mean: a vector belongs to the class whose mean vector is nearest (prototypes of Snell et al. 2017, with cosine)."""

import numpy as np
from numpy.typing import NDArray

TEMPERATURE = 0.07  # of probabilities softmax(score / T)

Labels = NDArray[np.integer]


def class_means(x: NDArray[np.floating], codes: Labels) -> NDArray[np.floating]:
    """Compute the mean vector of each class, scaled to unit length: (C, D); codes: (n,), each of 0 to C - 1 occurs."""
    order = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[order], np.arange(codes.max() + 1))
    sums = np.add.reduceat(x[order], starts, axis=0)
    return np.asarray(sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), np.finfo(np.float32).tiny))


def predict(train_x: NDArray[np.floating], train_y: Labels, test_x: NDArray[np.floating]) -> Labels:
    """Predict the class whose mean has the highest score: labels of test_x (M,)."""
    classes, codes = np.unique(train_y, return_inverse=True)
    return np.asarray(classes[(test_x @ class_means(train_x, codes).T).argmax(axis=1)])
