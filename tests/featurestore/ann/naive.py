"""Vectors to search, and the results by sorting all scores."""

import numpy as np
from numpy.typing import NDArray

CLUSTERS = 20

Floats = NDArray[np.float32]
Halves = NDArray[np.float16]
Ints = NDArray[np.int64]


def brute_force(queries: Floats, vectors: Halves, rows: Ints, k: int) -> tuple[Floats, Ints]:
    """Sort all scores, which are exact; of equal ones the smaller row comes first."""
    scores = (queries.astype(np.float64) @ vectors[rows].astype(np.float64).T).astype(np.float32)
    order = np.stack([np.lexsort((rows, -line))[:k] for line in scores])
    return np.take_along_axis(scores, order, axis=1), rows[order]


def assert_same(found: tuple[Floats, Ints], expected: tuple[Floats, Ints]) -> None:
    """Check scores and rows."""
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


def clustered(count: int, dim: int, seed: int = 0) -> tuple[Halves, Ints]:
    """Unit vectors around a few centres, which are the same for every seed, and the cluster of each."""
    centres = np.random.default_rng(dim).normal(size=(CLUSTERS, dim))
    rng = np.random.default_rng(seed)
    of = rng.integers(0, CLUSTERS, count)
    return unit(centres[of] + 0.6 * rng.normal(size=(count, dim))), of


def unit(x: NDArray[np.float64]) -> Halves:
    return np.asarray(x / np.linalg.norm(x, axis=1, keepdims=True), np.float16)


def small_numbers(rng: np.random.Generator, count: int, dim: int) -> Halves:
    """Vectors of -1, 0 and 1: all their products are exact, and many are equal."""
    return rng.integers(-1, 2, (count, dim)).astype(np.float16)


def recall(found: Ints, expected: Ints) -> float:
    """Of the expected rows (Q, K), the share that was found."""
    return float(np.mean([np.isin(wanted, line).mean() for line, wanted in zip(found, expected, strict=True)]))
