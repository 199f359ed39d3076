"""The k-NN vote against loops that are too plain to be wrong, and scikit-learn."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.neighbors import KNeighborsClassifier

from featurestore.estimators import knn
from featurestore.estimators.knn import neighbours, rank_classes, votes
from tests.featurestore.metrics.clouds import clouds


def naive_ranking(scores: list[float], labels: list[int], classes: int, temperature: float) -> list[int]:
    """The five classes with most votes, best first, -1 where no class has votes."""
    votes = [0.0] * classes
    for score, label in zip(scores, labels, strict=True):
        votes[label] += math.exp(score / temperature)
    ranked = sorted(range(classes), key=lambda c: (-votes[c], c))
    return ([c for c in ranked if votes[c] > 0] + [-1] * 5)[:5]


@pytest.mark.parametrize("n", [1, 40])
@pytest.mark.parametrize("k", [1, 5, 20])
@pytest.mark.parametrize("classes", [2, 4, 12])
def test_ranks_are_those_of_the_naive_loop_whatever_the_block(n: int, k: int, classes: int) -> None:
    rng = np.random.default_rng(n * 100 + k)
    scores = -np.sort(-rng.uniform(-1, 1, (n, k)).astype(np.float32), axis=1)
    labels = rng.integers(0, classes, (n, k))
    for temperature in (0.05, 0.07, 1.0, 100.0):
        expected = [
            naive_ranking(*line, classes, temperature) for line in zip(scores.tolist(), labels.tolist(), strict=True)
        ]
        for block in (7, 4_096):
            assert rank_classes(scores, labels, classes, temperature, block=block).tolist() == expected


def test_equal_votes_go_to_the_first_class_and_a_small_temperature_does_not_overflow() -> None:
    assert rank_classes(np.full((1, 4), 0.5), np.array([[3, 1, 1, 3]]), 4, 0.07, top=4).tolist() == [[1, 3, -1, -1]]
    assert rank_classes(np.array([[1.0, -1.0]]), np.array([[1, 0]]), 2, 1e-4, top=1).tolist() == [[1]]


@pytest.mark.parametrize("k", [1, 10, 150])
def test_votes_are_those_of_scikit_learn(k: int) -> None:
    (train_x, train_y), (test_x, _) = clouds(300, 4, classes=6, spread=2.0), clouds(80, 6, spread=2.0)
    theirs = KNeighborsClassifier(
        k, weights=lambda distances: np.exp((1 - distances) / 0.07), metric="cosine", algorithm="brute"
    ).fit(train_x, train_y)
    distances, indices = theirs.kneighbors(test_x)
    vote = votes(1 - distances, train_y[indices], 6, 0.07)
    np.testing.assert_allclose(vote / vote.sum(axis=1, keepdims=True), theirs.predict_proba(test_x), rtol=1e-6)


@pytest.mark.parametrize("block", [1, 33, 4_096])
@pytest.mark.parametrize("compared", [1, 1 << 24])
def test_neighbours_do_not_depend_on_the_block(block: int, compared: int, monkeypatch: pytest.MonkeyPatch) -> None:
    (bank, labels), (queries, _) = clouds(50, 9), clouds(40, 10)
    scores = queries @ bank.T
    expected = np.argsort(-scores, axis=1, kind="stable")[:, :7]
    predicted = knn.predict(bank, labels, queries, 7)
    monkeypatch.setattr(knn, "COMPARED", compared)
    found, indices = neighbours(bank, queries, 7, block)
    assert indices.tolist() == expected.tolist()
    np.testing.assert_allclose(found, np.take_along_axis(scores, expected, axis=1), rtol=1e-6)
    assert knn.predict(bank, labels, queries, 7, block).tolist() == predicted.tolist()
    empty: NDArray[np.float32] = queries[:0]
    assert knn.predict(bank, labels, empty).shape == (0,)


def test_of_equal_scores_the_first_places_are_the_nearest() -> None:
    scores = np.array([[0.1, 0.9, 0.5, 0.5, 0.5, 0.9], [0.0, 0.0, 0.0, 0.0, 0.0, 1.0], [6, 5, 4, 3, 2, 1]])
    for k in range(1, 7):
        found, indices = knn.top_scores(scores, k)
        expected = [
            sorted(range(6), key=[(-s, i) for i, s in enumerate(line)].__getitem__)[:k] for line in scores.tolist()
        ]
        assert indices.tolist() == expected
        assert found.tolist() == np.take_along_axis(scores, np.array(expected), axis=1).tolist()
