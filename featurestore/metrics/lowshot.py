"""Few labels: how well a handful of labelled vectors a class names the rest.

Labels are drawn several times, and every method sees the same draws. Draws are nested: those of more labels hold those of fewer.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featurestore.errors import EvaluationError
from featurestore.estimators import few_shot as fewlabels
from featurestore.metrics.checks import check_classes, check_finite, first_few
from featurestore.metrics.draws import draw, share_counts
from featurestore.metrics.statistics import half_width


@dataclass(frozen=True, slots=True)
class LowShotResult:
    """Accuracy with few labels: fractions in [0, 1]."""

    shots: int | None  # labels a class
    fraction: float | None  # the share of all labels, where that was asked for
    method: str
    top1_mean: float
    top1_ci95: float  # half-width of the 95 % interval of the mean over tries, by Student's t
    tries: int
    labels: int  # drawn in each try, all classes together

    def to_json(self) -> dict[str, Any]:
        amount = {"shots": self.shots} if self.fraction is None else {"fraction": self.fraction}
        figures = {"top1_mean": self.top1_mean, "top1_ci95": self.top1_ci95}
        return {**amount, "method": self.method, **figures, "tries": self.tries, "labels": self.labels}


def draws(
    labels: NDArray[np.integer], shots: int, tries: int, seed: int = 0, names: Sequence[str] | None = None
) -> Iterator[NDArray[np.intp]]:
    """Draw `shots` rows of each class without replacement, `tries` times; try t depends on seed + t alone.

    Raises EvaluationError when a class has fewer rows than shots; it is called by `names`.
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
    """Draw a share of the rows of each class, at least one of each, as `draws` does. Raises EvaluationError when it is not in (0, 1]."""
    if not 0 < fraction <= 1:
        raise EvaluationError(f"fraction = {fraction}: expected more than 0 and at most 1, such as 0.01")
    counts = share_counts(labels, fraction, least=1)
    return (draw(labels, counts, seed + t) for t in range(tries))


def accuracies(
    x: NDArray[np.floating],
    labels: NDArray[np.integer],
    drawn: Sequence[NDArray[np.intp]],
    methods: Sequence[str],
    test: tuple[NDArray[np.floating], NDArray[np.integer]] | None = None,
    advance: Callable[[], object] = lambda: None,
) -> dict[str, list[float]]:
    """Top-1 of each method, by name of `fewlabels.METHODS`, after each draw.

    x: (N, D), unit length; labels: (N,); test: vectors (M, D) and labels (M,) to be named, or None for the rows that were not drawn.
    Raises EvaluationError when nothing is left to be named, or a vector holds NaN.
    """
    check_finite(x, *(() if test is None else test[:1]))
    check_classes(labels)
    found: dict[str, list[float]] = {method: [] for method in methods}
    for rows in drawn:
        asked_x, asked_y = _rest(x, labels, rows) if test is None else test
        for method in methods:
            said = fewlabels.METHODS[method](x[rows], labels[rows], asked_x)
            found[method].append(float((said == asked_y).mean()))
        advance()
    return found


def _rest(
    x: NDArray[np.floating], labels: NDArray[np.integer], rows: NDArray[np.intp]
) -> tuple[NDArray[np.floating], NDArray[np.integer]]:
    left = np.ones(len(labels), bool)
    left[rows] = False
    if not left.any():
        raise EvaluationError(
            f"all {len(rows)} labels are drawn and none is left to be named; expected fewer shots, or a smaller fraction"
        )
    return x[left], labels[left]


def summary(
    accuracies: dict[str, list[float]], labels: int, shots: int | None = None, fraction: float | None = None
) -> list[LowShotResult]:
    """Mean and interval over the tries of each method, two or more."""
    return [
        LowShotResult(shots, fraction, method, float(np.mean(tries)), half_width(tries), len(tries), labels)
        for method, tries in accuracies.items()
    ]
