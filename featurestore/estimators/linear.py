"""Linear classification: how well one plane a class tells labels apart.

Protocol of DINOv2 (Oquab et al. 2023; eval/log_regression.py): logistic regression on unit-length vectors by L-BFGS, its C chosen from a
grid on a tenth of the training rows, then fitted again on all of them. Needs scikit-learn.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featurestore.errors import EvaluationError
from featurestore.metrics.checks import check_classes, check_finite
from featurestore.metrics.splits import held_out

WEAKEST, STRONGEST, PUBLISHED = -6, 5, 45  # of C, as powers of ten, and how many there are in DINOv2's grid
HELD_OUT = 0.1  # of the training rows, to choose C on
ITERATIONS = 1000


@dataclass(frozen=True, slots=True)
class LinearResult:
    """Accuracy on the rows held out, at one C: a fraction in [0, 1]."""

    c: float
    top1: float


def grid(count: int = PUBLISHED) -> list[float]:
    """The values of C that are tried, weakest first, evenly spaced as powers of ten. Raises EvaluationError when count is below 1."""
    if count < 1:
        raise EvaluationError(f"grid = {count}: expected at least 1 value of C")
    return [float(c) for c in np.logspace(WEAKEST, STRONGEST, count)]


def choose(
    x: NDArray[np.floating],
    labels: NDArray[np.integer],
    cs: Sequence[float],
    seed: int = 0,
    advance: Callable[[], object] = lambda: None,
) -> list[LinearResult]:
    """Fit on nine tenths of the rows for each C, and measure on the tenth held out; `best` tells which is to be taken.

    x: (N, D), unit length; labels: (N,). Raises EvaluationError when there is one class only, no class has two rows, or a vector holds NaN.
    """
    check_finite(x)
    check_classes(labels)
    tenth = held_out(labels, HELD_OUT, seed)
    if not tenth.any():
        raise EvaluationError("every class has one label only: expected two in some class, to choose C on one of them")
    results = []
    for c in cs:  # each from the beginning: where the last one ended, L-BFGS finds nothing left to do
        said = _fit(x[~tenth], labels[~tenth], c).predict(x[tenth])
        results.append(LinearResult(c, float((said == labels[tenth]).mean())))
        advance()
    return results


def best(results: Sequence[LinearResult]) -> float:
    """The C with the highest accuracy; of several the smallest."""
    return max(results, key=lambda result: (result.top1, -result.c)).c


def classify(
    train_x: NDArray[np.floating], train_y: NDArray[np.integer], test_x: NDArray[np.floating], c: float
) -> NDArray[np.int64]:
    """Fit on all rows (N, D), with labels (N,), at one C: the labels of others (M, D), (M,). Raises EvaluationError as `choose` does."""
    check_finite(train_x, test_x)
    check_classes(train_y)
    predicted: NDArray[np.int64] = _fit(train_x, train_y, c).predict(test_x)
    return predicted


def _fit(x: NDArray[np.floating], labels: NDArray[np.integer], c: float) -> Any:
    """Fit, ITERATIONS at most: to stop there is part of the protocol, and nothing to warn of."""
    from sklearn.exceptions import ConvergenceWarning  # takes long, and most commands do without
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        return LogisticRegression(C=c, max_iter=ITERATIONS).fit(x, labels)
