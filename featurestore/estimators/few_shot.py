"""Ways to name vectors by a few labelled ones: functions of train vectors (n, D), their labels (n,), and test vectors (M, D), all of unit length."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from featurestore.estimators import linear
from featurestore.metrics import knn

NEIGHBOURS, TEMPERATURE = 20, 0.07
C = 10.0  # of logistic regression: the best of 0.1 to 1000, by powers of ten, on two collections; here nothing is left to choose it on
ALPHA = 0.1  # of ridge regression: the best of 0.01 to 10 there
BLOCK = 4_096  # test vectors that are compared together

Named = NDArray[np.integer]
Method = Callable[[NDArray[np.floating], Named, NDArray[np.floating]], Named]


def nearest_mean(train_x: NDArray[np.floating], train_y: Named, test_x: NDArray[np.floating]) -> Named:
    """The class whose mean, scaled to unit length, has the highest score (Snell et al. 2017, with cosine)."""
    classes, codes = np.unique(train_y, return_inverse=True)
    return np.asarray(classes[(test_x @ means(train_x, codes).T).argmax(axis=1)])


def means(x: NDArray[np.floating], codes: NDArray[np.integer]) -> NDArray[np.floating]:
    """The mean vector of each class, unit length: (C, D); codes: (n,), each of 0 to C - 1 occurs."""
    order = np.argsort(codes, kind="stable")
    starts = np.searchsorted(codes[order], np.arange(codes.max() + 1))
    sums = np.add.reduceat(x[order], starts, axis=0)
    return np.asarray(sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), np.finfo(np.float32).tiny))


def nearest_neighbour(train_x: NDArray[np.floating], train_y: Named, test_x: NDArray[np.floating]) -> Named:
    """The class of the one nearest vector."""
    return neighbours(train_x, train_y, test_x, k=1)


def neighbours(
    train_x: NDArray[np.floating], train_y: Named, test_x: NDArray[np.floating], k: int = NEIGHBOURS
) -> Named:
    """The weighted vote of the k nearest, or of all where there are fewer, at T = 0.07."""
    classes, codes = np.unique(train_y, return_inverse=True)
    said = [np.empty(0, np.intp)]
    for start in range(0, len(test_x), BLOCK):
        scores, places = nearest(test_x[start : start + BLOCK] @ train_x.T, min(k, len(train_x)))
        said.append(knn.rank(scores, codes[places], len(classes), TEMPERATURE, top=1)[:, 0])
    return classes[np.concatenate(said)]


def nearest(scores: NDArray[np.floating], k: int) -> tuple[NDArray[np.floating], NDArray[np.intp]]:
    """The k best of each line of scores (B, n): scores and places, (B, k), best first, equal scores by place."""
    places = np.sort(np.argpartition(-scores, k - 1, axis=1)[:, :k], axis=1)
    found = np.take_along_axis(scores, places, axis=1)
    for line in np.flatnonzero((scores == found.min(axis=1, keepdims=True)).sum(axis=1) > 1):  # of equals, any was kept
        places[line] = np.argsort(-scores[line], kind="stable")[:k]
        found[line] = scores[line, places[line]]
    order = np.argsort(-found, axis=1, kind="stable")
    return np.take_along_axis(found, order, axis=1), np.take_along_axis(places, order, axis=1)


def logistic(train_x: NDArray[np.floating], train_y: Named, test_x: NDArray[np.floating]) -> Named:
    """Logistic regression at one C; needs scikit-learn."""
    return linear.classify(train_x, train_y, test_x, C)


def ridge(train_x: NDArray[np.floating], train_y: Named, test_x: NDArray[np.floating]) -> Named:
    """Ridge regression to +1 and -1 for each class; needs scikit-learn."""
    from sklearn.linear_model import RidgeClassifier

    predicted: Named = RidgeClassifier(alpha=ALPHA).fit(train_x, train_y).predict(test_x)
    return predicted


METHODS: dict[str, Method] = {
    "nearest-mean": nearest_mean,
    "knn": neighbours,
    "logistic": logistic,
    "ridge": ridge,
    "nearest-neighbour": nearest_neighbour,
}
OF_SKLEARN = ("logistic", "ridge")
SETTINGS: dict[str, dict[str, float]] = {
    "knn": {"k": NEIGHBOURS, "temperature": TEMPERATURE},
    "logistic": {"c": C},
    "ridge": {"alpha": ALPHA},
}  # of those that have any
