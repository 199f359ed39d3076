"""k-NN figures of arrays, against loops that are too plain to be wrong, the published script, and scikit-learn."""

import math
from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.neighbors import KNeighborsClassifier

from featurestore.errors import EvaluationError
from featurestore.metrics import knn
from featurestore.metrics.statistics import bootstrap


def naive_ranking(scores: list[float], labels: list[int], classes: int, temperature: float) -> list[int]:
    """The classes that got a vote, most votes first, at most five."""
    votes = [0.0] * classes
    for score, label in zip(scores, labels, strict=True):
        votes[label] += math.exp(score / temperature)
    ranked = sorted(range(classes), key=lambda c: (-votes[c], c))
    return [c for c in ranked[:5] if votes[c] > 0]


def drawn(n: int, k: int, classes: int) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.int64]]:
    rng = np.random.default_rng(n * 100 + k)
    scores = -np.sort(-rng.uniform(-1, 1, (n, k)).astype(np.float32), axis=1)
    return scores, rng.integers(0, classes, (n, k)), rng.integers(0, classes, n)


@pytest.mark.parametrize(("n", "k", "classes", "temperature"), list(product((1, 7, 40), (1, 5, 20), (2, 4, 12), (0.05, 0.07, 1.0, 100.0))))  # fmt: skip
def test_knn_equals_the_naive_loop(n: int, k: int, classes: int, temperature: float) -> None:
    scores, neighbours, truth = drawn(n, k, classes)
    names = [f"class {c}" for c in range(classes)]
    ks = sorted({1, (k + 1) // 2, k})
    results, predicted = knn.evaluate(scores, neighbours, truth, names, ks, temperature)
    for result, asked in zip(results, ks, strict=True):
        ranked = [naive_ranking(s[:asked], lab[:asked], classes, temperature) for s, lab in zip(scores.tolist(), neighbours.tolist(), strict=True)]  # fmt: skip
        top1 = sum(r[0] == t for r, t in zip(ranked, truth, strict=True)) / n
        top5 = sum(t in r for r, t in zip(ranked, truth, strict=True)) / n
        assert (result.k, result.temperature) == (asked, temperature)
        assert (result.top1, result.top5) == pytest.approx((top1, top5))
        if asked == ks[0]:
            assert predicted.tolist() == [r[0] for r in ranked]


def test_a_near_neighbour_outvotes_two_far_ones() -> None:
    scores, labels = np.array([[0.9, 0.5, 0.5]]), np.array([[1, 0, 0]])
    assert knn.predict(knn.votes(scores, labels, 2, temperature=0.07)).tolist() == [[1]]  # exp(0.4 / 0.07) = 303 > 2
    assert knn.predict(knn.votes(scores, labels, 2, temperature=10.0)).tolist() == [[0]]  # exp(0.04) = 1.04 < 2


def test_votes_are_the_weights_up_to_one_factor_a_row() -> None:
    vote = knn.votes(np.array([[1.0, 0.5, 0.0]]), np.array([[0, 1, 1]]), 3, temperature=0.5)
    np.testing.assert_allclose(vote, [[1, math.exp(-1) + math.exp(-2), 0]])


def test_of_equal_votes_the_class_that_comes_first_wins() -> None:
    scores = np.array([[0.5, 0.5, 0.5, 0.5]])
    assert knn.predict(knn.votes(scores, np.array([[3, 1, 1, 3]]), 4, 0.07), top=4).tolist() == [[1, 3, -1, -1]]


def test_a_small_temperature_does_not_overflow() -> None:
    [result], _ = knn.evaluate(np.array([[1.0, -1.0]]), np.array([[1, 0]]), np.array([1]), ["a", "b"], [2], 1e-4)
    assert result.top1 == 1.0


def test_with_fewer_than_five_classes_a_class_without_a_vote_is_no_hit() -> None:
    scores, neighbours = np.array([[0.9, 0.8], [0.9, 0.8]]), np.array([[0, 0], [0, 1]])
    [result], _ = knn.evaluate(scores, neighbours, np.array([1, 1]), ["a", "b", "c"], [2], 0.07)
    assert (result.top1, result.top5) == (0.0, 0.5)


def test_the_sixth_class_is_not_among_the_top_five() -> None:
    scores = np.array([[0.9, 0.8, 0.7, 0.6, 0.5, 0.4]])
    names = [str(c) for c in range(6)]
    for truth in range(6):
        [result], _ = knn.evaluate(scores, np.array([[0, 1, 2, 3, 4, 5]]), np.array([truth]), names, [6], 0.07)
        assert (result.top1, result.top5) == (truth == 0, truth < 5)


@pytest.mark.parametrize("ks", [[], [0], [-1], [4], [1, 4]])
def test_k_out_of_range_is_refused(ks: list[int]) -> None:
    with pytest.raises(EvaluationError, match="expected between 1 and 3"):
        knn.evaluate(np.zeros((1, 3)), np.zeros((1, 3), int), np.zeros(1, int), ["a"], ks, 0.07)


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan])
def test_a_temperature_that_is_not_positive_is_refused(temperature: float) -> None:
    with pytest.raises(EvaluationError, match="expected more than 0"):
        knn.evaluate(np.zeros((1, 1)), np.zeros((1, 1), int), np.zeros(1, int), ["a"], [1], temperature)


@pytest.mark.parametrize(("k", "temperature"), [(10, 0.07), (20, 0.07), (200, 0.07), (200, 0.1)])
def test_every_vote_is_that_of_the_published_script(k: int, temperature: float) -> None:
    """The steps of dino/eval_knn.py: top-k, one-hot labels times exp(score / T), summed, sorted."""
    train_x, train_y, test_x = (
        unit_vectors(300, seed=1),
        np.random.default_rng(2).integers(0, 7, 300),
        unit_vectors(60, seed=3),
    )
    similarity = test_x @ train_x.T
    indices = np.argsort(-similarity, axis=1)[:, :k]
    distances = np.take_along_axis(similarity, indices, axis=1)
    one_hot = np.eye(7)[train_y[indices]]  # (60, k, 7)
    summed = (one_hot * np.exp(distances.astype(np.float64) / temperature)[:, :, None]).sum(axis=1)
    published = np.argsort(-summed, axis=1)
    assert knn.rank(distances, train_y[indices], 7, temperature, top=7)[:, :5].tolist() == ranks_with_votes(
        published, summed
    )
    assert knn.predict(summed, top=1)[:, 0].tolist() == published[:, 0].tolist()


def ranks_with_votes(ranked: NDArray[np.intp], summed: NDArray[np.float64]) -> list[list[int]]:
    return [[int(c) if summed[i, c] > 0 else -1 for c in line[:5]] for i, line in enumerate(ranked)]


@pytest.mark.parametrize("k", [1, 10, 150])
def test_votes_are_those_of_scikit_learn(k: int) -> None:
    train_x, train_y, test_x = (
        unit_vectors(300, seed=4),
        np.random.default_rng(5).integers(0, 6, 300),
        unit_vectors(80, seed=6),
    )
    theirs = KNeighborsClassifier(
        k, weights=lambda distances: np.exp((1 - distances) / 0.07), metric="cosine", algorithm="brute"
    ).fit(train_x, train_y)
    distances, places = theirs.kneighbors(test_x)
    ours = knn.rank(1 - distances, train_y[places], 6, 0.07)
    assert ours[:, 0].tolist() == theirs.predict(test_x).tolist()
    vote = knn.votes(1 - distances, train_y[places], 6, 0.07)
    np.testing.assert_allclose(vote / vote.sum(axis=1, keepdims=True), theirs.predict_proba(test_x), rtol=1e-6)


def unit_vectors(n: int, seed: int) -> NDArray[np.float32]:
    x = np.random.default_rng(seed).standard_normal((n, 12))
    return np.asarray(x / np.linalg.norm(x, axis=1, keepdims=True), np.float32)


def test_many_queries_are_counted_in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    scores, neighbours, truth = drawn(40, 20, 4)
    whole = knn.evaluate(scores, neighbours, truth, list("abcd"), [1, 20], 0.07)
    monkeypatch.setattr("featurestore.metrics.knn.BLOCK", 7)
    parts = knn.evaluate(scores, neighbours, truth, list("abcd"), [1, 20], 0.07)
    assert parts[0] == whole[0]
    assert parts[1].tolist() == whole[1].tolist()


def test_the_interval_is_the_bootstrap_of_what_is_right() -> None:
    scores, neighbours, truth = drawn(40, 5, 4)
    [result], said = knn.evaluate(scores, neighbours, truth, list("abcd"), [5], 0.07, seed=3)
    assert result.top1_ci95 == bootstrap(said == truth, seed=3)
    assert result.top1_ci95[0] < result.top1 < result.top1_ci95[1]


def test_a_score_that_is_no_number_is_refused() -> None:
    with pytest.raises(EvaluationError, match="no finite numbers"):
        knn.evaluate(np.array([[np.nan]]), np.zeros((1, 1), int), np.zeros(1, int), ["a"], [1], 0.07)
