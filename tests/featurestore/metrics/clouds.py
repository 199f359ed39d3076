"""Labelled unit vectors for tests of figures."""

import numpy as np
from numpy.typing import NDArray


def clouds(
    n: int, seed: int, classes: int = 4, spread: float = 0.5, dim: int = 8
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Draw unit vectors (n, D) around one corner of the space for each class, and their labels (n,), as even as can be."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(n) % classes)
    x = np.eye(classes, dim)[labels] + spread * rng.standard_normal((n, dim))
    return np.asarray(x / np.linalg.norm(x, axis=1, keepdims=True), np.float32), labels
