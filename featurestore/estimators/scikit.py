"""Nearest mean and k-NN as scikit-learn classifiers. Needs scikit-learn.

Only the direction of a vector counts: rows are scaled to unit length, as in a store.
"""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from featurestore.estimators import knn, nearest_mean
from featurestore.metrics.calibration import softmax

Floats = NDArray[np.float64]


class _CosineClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """Checks the input as scikit-learn requires, and predicts the most probable class."""

    classes_: NDArray[Any]

    def predict(self, X: Any) -> NDArray[Any]:
        """Predict the most probable class of each row (N, D): (N,); of equally probable ones the first."""
        probabilities = self.predict_proba(X)
        return np.asarray(self.classes_[probabilities.argmax(axis=1)])

    def predict_proba(self, X: Any) -> Floats:
        raise NotImplementedError

    def _check_fit(self, x: Any, y: Any) -> tuple[Floats, NDArray[np.intp]]:
        """Check rows and labels, and set `classes_`: unit rows (N, D) and codes (N,). Raises ValueError."""
        x, y = validate_data(self, x, y, dtype=np.float64)
        check_classification_targets(y)
        if not self.temperature > 0:
            raise ValueError(f"temperature = {self.temperature}: expected more than 0, such as 0.07")
        self.classes_, codes = np.unique(y, return_inverse=True)
        return _unit(x), codes

    def _check_predict(self, x: Any) -> Floats:
        check_is_fitted(self)
        return _unit(validate_data(self, x, dtype=np.float64, reset=False))


class NearestMeanClassifier(_CosineClassifier):
    """Each class is the mean of its vectors, scaled to unit length; a vector belongs to the nearest (Snell et al. 2017, with cosine).

    Probabilities are softmax(score / temperature).
    """

    def __init__(self, temperature: float = nearest_mean.TEMPERATURE) -> None:
        self.temperature = temperature

    def fit(self, X: Any, y: Any) -> Self:
        """Compute the mean of each class: X (N, D), y (N,). Raises ValueError."""
        x, codes = self._check_fit(X, y)
        self.means_ = nearest_mean.class_means(x, codes)  # (C, D)
        return self

    def predict_proba(self, X: Any) -> Floats:
        """Compute the probability of each class for each row (N, D): (N, C)."""
        return softmax(self._check_predict(X) @ self.means_.T, self.temperature)


class KnnClassifier(_CosineClassifier):
    """The k nearest vectors vote with weight exp(score / temperature), or all when there are fewer (Caron et al. 2021, appendix F.1).

    Probabilities are shares of the votes.
    """

    def __init__(self, k: int = knn.K, temperature: float = knn.TEMPERATURE) -> None:
        self.k = k
        self.temperature = temperature

    def fit(self, X: Any, y: Any) -> Self:
        """Store the vectors: X (N, D), y (N,). Raises ValueError."""
        if self.k < 1:
            raise ValueError(f"k = {self.k}: expected at least 1")
        self.vectors_, self.codes_ = self._check_fit(X, y)
        return self

    def predict_proba(self, X: Any) -> Floats:
        """Compute the share of the votes of each class for each row (N, D): (N, C)."""
        x = self._check_predict(X)
        scores, indices = knn.neighbours(self.vectors_, x, min(self.k, len(self.vectors_)))
        votes = knn.votes(scores, self.codes_[indices], len(self.classes_), self.temperature)
        return np.asarray(votes / votes.sum(axis=1, keepdims=True))


def _unit(x: Floats) -> Floats:
    """Scale rows to unit length. A row of zeros stays zero, and scores the same with every class."""
    length = np.linalg.norm(x, axis=1, keepdims=True)
    return np.asarray(x / np.where(length > 0, length, 1.0))
