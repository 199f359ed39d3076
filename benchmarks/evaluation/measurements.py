"""Single measurements of evaluation. Each runs in its own process."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from featurestore import FeatureStore
from featurestore.estimators.knn import rank_classes
from featurestore.evaluation.knn import neighbour_classes
from featurestore.metrics import retrieval
from featurestore.storage import LabelledItems

TEMPERATURE = 0.07


def ours(path: str, ks: Sequence[int], predictions: str) -> float:
    """Seconds of k-NN on a store, with opening it. Writes the predicted classes at each k: (number of ks, N)."""
    began = time.perf_counter()
    FeatureStore.open(path).knn(ks, TEMPERATURE)
    seconds = time.perf_counter() - began
    labelled = _labelled(path)
    scores, codes = neighbour_classes(labelled, max(ks))
    np.save(predictions, _vote(scores, codes, ks, len(labelled.names)))
    return seconds


def faiss_and_vote(path: str, ks: Sequence[int], predictions: str) -> float:
    """The same with `faiss.knn` on float32 vectors in memory, and the vote."""
    train_x, train_y, test_x, _ = _arrays(_labelled(path))
    began = time.perf_counter()
    scores, positions = faiss.knn(test_x, train_x, max(ks), metric=faiss.METRIC_INNER_PRODUCT)
    predicted = _vote(scores, train_y[positions], ks, int(train_y.max()) + 1)
    seconds = time.perf_counter() - began
    np.save(predictions, predicted)
    return seconds


def sklearn_cosine(path: str, ks: Sequence[int], predictions: str) -> float:
    """The same with scikit-learn and the cosine metric, one classifier for each k; vectors are in memory."""
    return _sklearn(path, ks, predictions, "cosine", lambda distances: np.exp((1 - distances) / TEMPERATURE))


def sklearn_euclidean(path: str, ks: Sequence[int], predictions: str) -> float:
    """The same with the metric that is fastest in scikit-learn; between unit vectors it determines the score."""
    return _sklearn(path, ks, predictions, "euclidean", lambda distances: np.exp((1 - distances**2 / 2) / TEMPERATURE))


def _sklearn(
    path: str, ks: Sequence[int], predictions: str, metric: str, weights: Callable[[NDArray[Any]], NDArray[Any]]
) -> float:
    from sklearn.neighbors import KNeighborsClassifier

    train_x, train_y, test_x, _ = _arrays(_labelled(path))
    began = time.perf_counter()
    model = KNeighborsClassifier(weights=weights, metric=metric, algorithm="brute").fit(train_x, train_y)
    predicted = np.stack([model.set_params(n_neighbors=k).predict(test_x) for k in ks])
    seconds = time.perf_counter() - began
    np.save(predictions, predicted)
    return seconds


def _labelled(path: str) -> LabelledItems:
    return FeatureStore.open(path).labelled_items()


def _arrays(
    labelled: LabelledItems,
) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.float32], NDArray[np.int64]]:
    train, test = labelled.train, labelled.test
    return labelled.vectors(train), labelled.codes[train], labelled.vectors(test), labelled.codes[test]


def _vote(scores: NDArray[np.float32], codes: NDArray[np.int64], ks: Sequence[int], classes: int) -> NDArray[np.int64]:
    return np.stack([rank_classes(scores[:, :k], codes[:, :k], classes, TEMPERATURE)[:, 0] for k in ks])


# -- the other measures

MEASURES: dict[str, Callable[[FeatureStore], Any]] = {
    "linear, 12 values of C": lambda store: store.linear(),
    "linear, 45 values of C": lambda store: store.linear(grid=45),
    "lowshot": lambda store: store.lowshot(),
    "lowshot --way 5": lambda store: store.episodes(),
    "retrieval": lambda store: store.retrieval(),
}


def measured(path: str, name: str) -> float:
    """Seconds of one of MEASURES, with opening the store."""
    began = time.perf_counter()
    MEASURES[name](FeatureStore.open(path))
    return time.perf_counter() - began


def all_by_all(path: str) -> float:
    """Seconds of ranking all items for each item."""
    labelled = _labelled(path)
    everything = labelled.train | labelled.test
    began = time.perf_counter()
    x, codes = labelled.vectors(everything), labelled.codes
    retrieval.evaluate(x, x, codes, codes, own=np.arange(len(x)))
    return time.perf_counter() - began
