"""Linear classification: logistic regression, with C chosen by validation, and ridge regression. Needs scikit-learn.

Protocol of DINOv2 (Oquab et al. 2023; eval/log_regression.py): logistic regression on unit-length vectors by L-BFGS, its C chosen from a
grid on a tenth of the training rows, then fitted again on all of them. With fewer rows a tenth says little, so C is chosen by
cross-validation there. scikit-learn is imported when called: most commands do without.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featurestore.errors import EvaluationError
from featurestore.estimators import nearest_mean
from featurestore.metrics.checks import check_classes, check_finite
from featurestore.metrics.splits import folds, held_out

WEAKEST, STRONGEST, PUBLISHED = -6, 5, 45  # of C, as powers of ten, and the size of DINOv2's grid
MANY, FEW = (
    5_000,
    1_000,
)  # rows: with more than MANY a tenth of them chooses C; with fewer than FEW folds are drawn REPEATS times
HELD_OUT, FOLDS, REPEATS = 0.1, 5, 3
ITERATIONS = 1000
C = 10.0  # where it is not chosen: the best of 0.1 to 1000, by powers of ten, on two collections
ALPHA = 0.1  # of ridge regression: the best of 0.01 to 10 on the same
SPREAD = 0.3  # temperature of its logits where too few labels are left out to fit one: a margin of 0.3 is then one of 0.46 in probability

Floats = NDArray[np.floating]
Labels = NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class LinearResult:
    """Accuracy on the rows of validation at one C: a fraction in [0, 1]."""

    c: float
    top1: float


def c_grid(count: int = PUBLISHED) -> list[float]:
    """List `count` values of C from 1e-6 to 1e5, evenly spaced as powers of ten. Raises EvaluationError when count is below 1."""
    if count < 1:
        raise EvaluationError(f"grid = {count}: expected at least 1 value of C")
    return [float(c) for c in np.logspace(WEAKEST, STRONGEST, count)]


def try_c(
    x: Floats, labels: Labels, cs: Sequence[float], seed: int = 0, advance: Callable[[], object] = lambda: None
) -> list[LinearResult]:
    """Measure each C by validation within the rows; `best_c` chooses from the results.

    Up to MANY rows by cross-validation with FOLDS folds of each class, below FEW rows REPEATS times; with more on a held-out tenth.

    x: (N, D), unit length; labels: (N,). Raises EvaluationError when there is only one class, no class has two rows, or a vector holds NaN.
    """
    check_finite(x)
    check_classes(labels)
    if np.unique(labels, return_counts=True)[1].max() < 2:
        raise EvaluationError(
            "every class has one label only: expected a class with two, to choose C on one of them; label more items"
        )
    parts = list(_validation_parts(labels, seed))
    results = []
    for c in cs:  # no warm start: it would stop where the previous C stopped
        right = [_fit_logistic(x[~test], labels[~test], c).predict(x[test]) == labels[test] for test in parts]
        results.append(LinearResult(c, float(np.concatenate(right).mean())))
        advance()
    return results


def _validation_parts(labels: Labels, seed: int) -> Iterator[NDArray[np.bool_]]:
    """Give masks of the rows to validate on, (N,); the others, which are of two classes at least, are trained on."""
    if len(labels) > MANY:
        yield held_out(labels, HELD_OUT, seed)
        return
    for repeat in range(REPEATS if len(labels) < FEW else 1):
        fold = folds(labels, FOLDS, seed + repeat)
        for number in range(FOLDS):
            test = fold == number
            if test.any() and len(np.unique(labels[~test])) > 1:
                yield test


def best_c(results: Sequence[LinearResult]) -> float:
    """Choose the C with the highest accuracy; of equally good ones the smallest."""
    return max(results, key=lambda result: (result.top1, -result.c)).c


def logistic(train_x: Floats, train_y: Labels, test_x: Floats, c: float = C, iterations: int = ITERATIONS) -> Labels:
    """Predict by logistic regression at one C: labels of test_x (M,). Raises EvaluationError for a single class, NaN or infinity."""
    check_finite(train_x, test_x)
    check_classes(train_y)
    predicted: Labels = _fit_logistic(train_x, train_y, c, iterations).predict(test_x)
    return predicted


def ridge(train_x: Floats, train_y: Labels, test_x: Floats) -> Labels:
    """Predict by ridge regression to +1 and -1 for each class: labels of test_x (M,)."""
    predicted: Labels = _fit_ridge(train_x, train_y).predict(test_x)
    return predicted


def fit_planes(
    method: str, x: Floats, codes: Labels, c: float | None
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Fit one plane a class by "nearest-mean", "logistic" or "ridge": weights (D, C) and bias (C,), so that x @ weights + bias are logits.

    x: (N, D), unit length; codes: (N,), each of 0 to C - 1 occurs; c: for logistic regression only.
    """
    if method == "nearest-mean":
        means = nearest_mean.class_means(x.astype(np.float64), codes) / nearest_mean.TEMPERATURE
        return means.T.astype(np.float64), np.zeros(len(means))
    centre = x.mean(axis=0, dtype=np.float64)  # the same planes in fewer iterations; the bias takes it back
    if method == "ridge":
        model = _fit_ridge(x - centre, codes)
    else:
        model = _fit_logistic(x - centre, codes, C if c is None else c)
    weights = np.atleast_2d(model.coef_)
    bias = model.intercept_ - weights @ centre
    if len(weights) == 1:  # for two classes scikit-learn has one plane, of the second class against the first
        weights, bias = np.concatenate([np.zeros_like(weights), weights]), np.r_[0.0, bias]
    return np.asarray(weights.T), np.asarray(bias)


def left_out_logits(
    method: str,
    x: Floats,
    codes: Labels,
    fold: Labels,
    c: float | None = None,
    advance: Callable[[], object] = lambda: None,
) -> NDArray[np.float64]:
    """Compute the logits of rows by planes that were fitted without their fold: (N, C); the rows of no fold, -1, stay without a value.

    x, codes, c: as for `fit_planes`; fold: (N,), the number of the fold of each row, from 0. The others must have a row of each class.
    """
    logits = np.full((len(codes), int(codes.max()) + 1), np.nan)
    for number in range(int(fold.max()) + 1):
        left_out = fold == number
        weights, bias = fit_planes(method, x[~left_out], codes[~left_out], c)
        logits[left_out] = x[left_out] @ weights + bias
        advance()
    return logits


def _fit_logistic(x: Floats, labels: Labels, c: float, iterations: int = ITERATIONS) -> Any:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # the limit of iterations is part of the protocol
        warnings.filterwarnings("ignore", "The number of unique classes")  # few labels of many classes are usual here
        return LogisticRegression(C=c, max_iter=iterations).fit(x, labels)


def _fit_ridge(x: Floats, labels: Labels) -> Any:
    from sklearn.linear_model import RidgeClassifier

    return RidgeClassifier(alpha=ALPHA).fit(x, labels)
