"""Classifiers of vectors that keep scikit-learn's contract, and the planes that the linear ones come down to. Needs scikit-learn.

What counts of a vector is its direction: rows are scaled to unit length, as a store keeps them.
"""

import warnings
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from featurestore.estimators import few_shot as fewlabels
from featurestore.estimators.linear import ITERATIONS
from featurestore.metrics.calibration import softmax
from featurestore.metrics.knn import votes

COMPARED = 1 << 24  # scores held at a time

Floats = NDArray[np.float64]


class _ByDirection(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """What both classifiers share: the checks of scikit-learn's contract, and that the most probable class is predicted."""

    classes_: NDArray[Any]

    def predict(self, X: Any) -> NDArray[Any]:
        """The most probable class of each row (N, D): (N,); of equal ones the first."""
        probabilities = self.predict_proba(X)
        return np.asarray(self.classes_[probabilities.argmax(axis=1)])

    def predict_proba(self, X: Any) -> Floats:
        raise NotImplementedError

    def _learn(self, x: Any, y: Any) -> tuple[Floats, NDArray[np.intp]]:
        """Check rows and labels, and note the classes; gives unit rows (N, D) and codes (N,). Raises ValueError."""
        x, y = validate_data(self, x, y, dtype=np.float64)
        check_classification_targets(y)
        if not self.temperature > 0:
            raise ValueError(f"temperature = {self.temperature}: expected more than 0, such as 0.07")
        self.classes_, codes = np.unique(y, return_inverse=True)
        return _unit(x), codes

    def _asked(self, x: Any) -> Floats:
        check_is_fitted(self)
        return _unit(validate_data(self, x, dtype=np.float64, reset=False))


class NearestMeanClassifier(_ByDirection):
    """Each class is the mean of its vectors, scaled to unit length; a vector belongs to the nearest (Snell et al. 2017, with cosine).

    Probabilities are softmax(score / temperature).
    """

    def __init__(self, temperature: float = fewlabels.TEMPERATURE) -> None:
        self.temperature = temperature

    def fit(self, X: Any, y: Any) -> Self:
        """Take the mean of each class: X (N, D), y (N,). Raises ValueError."""
        x, codes = self._learn(X, y)
        self.means_ = fewlabels.means(x, codes)  # (C, D)
        return self

    def predict_proba(self, X: Any) -> Floats:
        """The probability of each class for each row (N, D): (N, C)."""
        return softmax(self._asked(X) @ self.means_.T, self.temperature)


class KnnClassifier(_ByDirection):
    """The k nearest vectors vote with weight exp(score / temperature), or all where there are fewer (Caron et al. 2021, appendix F.1).

    Probabilities are shares of the votes.
    """

    def __init__(self, k: int = fewlabels.NEIGHBOURS, temperature: float = fewlabels.TEMPERATURE) -> None:
        self.k = k
        self.temperature = temperature

    def fit(self, X: Any, y: Any) -> Self:
        """Keep the vectors: X (N, D), y (N,). Raises ValueError."""
        if self.k < 1:
            raise ValueError(f"k = {self.k}: expected at least 1")
        self.vectors_, self.codes_ = self._learn(X, y)
        return self

    def predict_proba(self, X: Any) -> Floats:
        """The share of the votes that each class has for each row (N, D): (N, C)."""
        x = self._asked(X)
        k, block = min(self.k, len(self.vectors_)), max(1, COMPARED // len(self.vectors_))
        shares = [np.empty((0, len(self.classes_)))]
        for start in range(0, len(x), block):
            scores, places = fewlabels.nearest(x[start : start + block] @ self.vectors_.T, k)
            vote = votes(scores, self.codes_[places], len(self.classes_), self.temperature)
            shares.append(vote / vote.sum(axis=1, keepdims=True))
        return np.concatenate(shares)


def _unit(x: Floats) -> Floats:
    """Rows of length 1; one of zeros stays as it is, and is as near to all."""
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return np.asarray(x / np.where(length > 0, length, 1.0))


def planes(method: str, x: NDArray[np.floating], codes: NDArray[np.integer], c: float | None) -> tuple[Floats, Floats]:
    """Fit one plane a class by "nearest-mean", "logistic" or "ridge": weights (D, C) and bias (C,), such that x @ weights + bias are logits.

    x: (N, D), unit length; codes: (N,), each of 0 to C - 1 occurs; c: of logistic regression alone.
    """
    if method == "nearest-mean":
        means = fewlabels.means(x.astype(np.float64), codes) / fewlabels.TEMPERATURE
        return means.T.astype(np.float64), np.zeros(len(means))
    logistic = method == "logistic"
    model: Any = LogisticRegression(C=c, max_iter=ITERATIONS) if logistic else RidgeClassifier(alpha=fewlabels.ALPHA)
    centre = x.mean(axis=0, dtype=np.float64)  # where the bias is taken from: the same planes, found in fewer steps
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # to stop at ITERATIONS is part of the protocol
        model.fit(x - centre, codes)
    weights = np.atleast_2d(model.coef_)
    bias = model.intercept_ - weights @ centre
    if len(weights) == 1:  # of two classes scikit-learn keeps the second alone, against the first
        weights, bias = np.concatenate([np.zeros_like(weights), weights]), np.r_[0.0, bias]
    return np.asarray(weights.T), np.asarray(bias)
