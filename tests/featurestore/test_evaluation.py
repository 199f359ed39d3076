"""Figures as functions of arrays, against loops that are too plain to be wrong."""

import math
from itertools import product

import numpy as np
import pytest
from numpy.typing import NDArray

from featurestore.errors import EvaluationError
from featurestore.evaluation import knn, lowshot


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
    results, figures = knn.evaluate(scores, neighbours, truth, names, ks, temperature)
    for result, asked in zip(results, ks, strict=True):
        ranked = [naive_ranking(s[:asked], lab[:asked], classes, temperature) for s, lab in zip(scores.tolist(), neighbours.tolist(), strict=True)]  # fmt: skip
        top1 = sum(r[0] == t for r, t in zip(ranked, truth, strict=True)) / n
        top5 = sum(t in r for r, t in zip(ranked, truth, strict=True)) / n
        assert result.k == asked
        assert (result.top1, result.top5) == pytest.approx((top1, top5))
        if asked == ks[0]:
            said = [r[0] for r in ranked]
    for figure in figures:
        own = names.index(figure.label)
        right = sum(s == t == own for s, t in zip(said, truth, strict=True))
        assert figure.n == list(truth).count(own)
        assert figure.recall == pytest.approx(right / figure.n)
        assert figure.precision == (pytest.approx(right / said.count(own)) if own in said else None)
    assert [f.label for f in figures] == [names[c] for c in sorted(set(truth.tolist()))]


def test_a_near_neighbour_outvotes_two_far_ones() -> None:
    scores, labels = np.array([[0.9, 0.5, 0.5]]), np.array([[1, 0, 0]])
    assert knn.predict(knn.votes(scores, labels, 2, temperature=0.07)).tolist() == [[1]]  # exp(0.4 / 0.07) = 303 > 2
    assert knn.predict(knn.votes(scores, labels, 2, temperature=10.0)).tolist() == [[0]]  # exp(0.04) = 1.04 < 2


def test_votes_are_the_weights_up_to_one_factor_a_row() -> None:
    vote = knn.votes(np.array([[1.0, 0.5, 0.0]]), np.array([[0, 1, 1]]), 3, temperature=0.5)
    np.testing.assert_allclose(vote, [[1, math.exp(-1) + math.exp(-2), 0]])


def test_of_equal_votes_the_class_that_comes_first_wins() -> None:
    scores = np.array([[0.5, 0.5, 0.5, 0.5]])
    assert knn.predict(knn.votes(scores, np.array([[3, 1, 1, 3]]), 4, 0.07), top=4).tolist() == [[1, 3, 0, 2]]


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


def test_class_figures_by_hand() -> None:
    figures = knn.class_figures(np.array([0, 0, 1, 0]), np.array([0, 1, 1, 2]), ["a", "b", "c", "d"])
    assert figures == [
        knn.ClassFigures("a", 1, 1.0, 1 / 3),
        knn.ClassFigures("b", 2, 0.5, 1.0),
        knn.ClassFigures("c", 1, 0.0, None),
    ]


def test_draws_take_so_many_of_each_class() -> None:
    labels = np.array([2, 0, 0, 2, 2, 0, 5, 5])
    for drawn_rows in lowshot.draws(labels, shots=2, tries=5):
        assert sorted(labels[drawn_rows].tolist()) == [0, 0, 2, 2, 5, 5]
        assert len(set(drawn_rows.tolist())) == 6


def test_a_try_depends_on_its_number_alone() -> None:
    labels = np.repeat([0, 1], 30)
    several = [rows.tolist() for rows in lowshot.draws(labels, 3, tries=4, seed=10)]
    assert [rows.tolist() for rows in lowshot.draws(labels, 3, tries=2, seed=12)] == several[2:]
    assert len({tuple(rows) for rows in several}) == 4


@pytest.mark.parametrize("shots", [0, 3])
def test_more_shots_than_the_smallest_class_has_are_refused(shots: int) -> None:
    with pytest.raises(EvaluationError, match="expected between 1 and 2, the labels of the smallest class"):
        list(lowshot.draws(np.array([0, 0, 0, 1, 1]), shots, tries=1))


def test_nearest_neighbour_names_what_lies_nearest() -> None:
    train_x, train_y = np.eye(3, dtype=np.float32), np.array([0, 1, 2])
    test_x, test_y = train_x[[0, 1, 2, 2]], np.array([0, 1, 2, 0])
    [result] = lowshot.nearest_neighbour(train_x, train_y, test_x, test_y, shots=[1], tries=3)
    assert result == lowshot.LowShotResult(1, "nearest-neighbour", 0.75, 0.0, 3)


def test_mean_and_interval_are_those_of_the_tries() -> None:
    train_x = np.array([[1, 0], [0, 1], [0, 1]], np.float32)
    train_y = np.array([0, 0, 1])  # the second is like class 1: tries that draw it see no difference, and class 0 wins
    test_x, test_y = np.array([[1, 0], [0, 1]], np.float32), np.array([0, 1])
    [result] = lowshot.nearest_neighbour(train_x, train_y, test_x, test_y, shots=[1], tries=8, seed=3)
    lucky = [0 in rows for rows in lowshot.draws(train_y, 1, 8, seed=3)]
    scores = [1.0 if luck else 0.5 for luck in lucky]
    assert 0 < sum(lucky) < 8
    mean = sum(scores) / 8
    spread = math.sqrt(sum((s - mean) ** 2 for s in scores) / 7)
    assert result.top1_mean == pytest.approx(mean)
    assert result.top1_ci95 == pytest.approx(1.96 * spread / math.sqrt(8))
