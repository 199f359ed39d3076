"""Few labels: how well a handful of labelled vectors a class names the rest."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featurestore.errors import EvaluationError


@dataclass(frozen=True, slots=True)
class LowShotResult:
    """Accuracy with `shots` labels a class: fractions in [0, 1]."""

    shots: int
    method: str
    top1_mean: float
    top1_ci95: float  # half-width of the normal 95 % interval of the mean over tries
    tries: int


def draws(labels: NDArray[np.integer], shots: int, tries: int, seed: int = 0) -> Iterator[NDArray[np.intp]]:
    """Draw `shots` rows of each class without replacement, `tries` times; try t depends on seed + t alone.

    Raises EvaluationError when a class has fewer rows than shots.
    """
    places = [np.flatnonzero(labels == c) for c in np.unique(labels)]
    least = min(len(p) for p in places)
    if not 1 <= shots <= least:
        raise EvaluationError(f"shots = {shots}: expected between 1 and {least}, the labels of the smallest class")
    for t in range(tries):
        rng = np.random.default_rng(seed + t)
        yield np.concatenate([rng.choice(p, shots, replace=False) for p in places])


def nearest_neighbour(
    train_x: NDArray[np.floating],
    train_y: NDArray[np.integer],
    test_x: NDArray[np.floating],
    test_y: NDArray[np.integer],
    shots: Sequence[int],
    tries: int = 20,
    seed: int = 0,
) -> list[LowShotResult]:
    """Classify each test row by its nearest drawn row; x: (N, D), unit length; y: (N,)."""
    results = []
    for n in shots:
        scores = [
            float((train_y[rows][(test_x @ train_x[rows].T).argmax(axis=1)] == test_y).mean())
            for rows in draws(train_y, n, tries, seed)
        ]
        spread = float(np.std(scores, ddof=1)) if tries > 1 else 0.0
        results.append(LowShotResult(n, "nearest-neighbour", float(np.mean(scores)), 1.96 * spread / tries**0.5, tries))
    return results
