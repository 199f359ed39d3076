"""Retrieval, by hand, by loops and against scikit-learn."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score

from featurestore.errors import EvaluationError
from featurestore.metrics import retrieval
from tests.featurestore.metrics.clouds import clouds

Arrays = tuple[NDArray[np.float32], NDArray[np.int64]]  # vectors and labels


def naive(queries: Arrays, bank: Arrays, alone: bool, k: int) -> tuple[float, float, float]:
    """mAP, recall@k and precision@k."""
    average, recall, precision = [], [], []
    for q, label in enumerate(queries[1]):
        scores = (queries[0][q] @ bank[0].T).tolist()
        order = sorted((i for i in range(len(scores)) if not (alone and i == q)), key=lambda i: (-scores[i], i))
        matches = [bank[1][i] == label for i in order]
        places = [place for place, match in enumerate(matches, start=1) if match]
        average.append(sum(n / place for n, place in enumerate(places, start=1)) / len(places))
        recall.append(any(matches[:k]))
        precision.append(sum(matches[:k]) / k)
    return float(np.mean(average)), float(np.mean(recall)), float(np.mean(precision))


@pytest.mark.parametrize("block", [1, 300, 4_000_000])
@pytest.mark.parametrize("alone", [False, True])
def test_figures_are_those_of_the_naive_loop(block: int, alone: bool) -> None:
    bank, bank_labels = clouds(90, seed=0, spread=1.0)
    bank[1::9] = bank[::9]  # equal scores
    queries, labels = (bank, bank_labels) if alone else clouds(25, seed=1, spread=1.0)
    done: list[int] = []
    own = np.arange(90) if alone else None
    found = retrieval.evaluate(queries, bank, labels, bank_labels, own, (1, 3, 10), done.append, block)
    for k in (1, 3, 10):
        expected = naive((queries, labels), (bank, bank_labels), alone, k)
        assert (found.map, found.recall[k], found.precision[k]) == pytest.approx(expected)
    assert (found.queries_without_match, sum(done)) == (0, len(queries))
    assert 0.2 < found.map < 0.9


def test_average_precision_is_that_of_scikit_learn() -> None:
    bank, bank_labels = clouds(200, seed=2, spread=1.0)
    queries, labels = clouds(30, seed=3, spread=1.0)
    theirs = [
        average_precision_score(bank_labels == label, query @ bank.T)
        for query, label in zip(queries, labels, strict=True)
    ]
    assert retrieval.evaluate(queries, bank, labels, bank_labels).map == pytest.approx(np.mean(theirs))


def test_queries_without_a_match_are_counted_and_left_out() -> None:
    bank = np.eye(4, dtype=np.float32)
    found = retrieval.evaluate(bank, bank, np.array([0, 0, 1, 2]), np.array([0, 0, 1, 2]), own=np.arange(4), ks=(1, 3))
    assert found.queries_without_match == 2
    # all scores are equal: the first of the two finds the other at once, the second likewise
    assert found == retrieval.RetrievalResult(1.0, {1: 1.0, 3: 1.0}, {1: 1.0, 3: 1 / 3}, 2)


def test_scores_of_every_sign_come_in_order() -> None:
    angles = np.linspace(0, math.pi, 9)
    bank = np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)
    bank[4] = (-0.0, 1)
    shuffled = np.random.default_rng(0).permutation(9)
    query = np.array([[1, 0]], np.float32)
    for nearest in range(9):  # one match, at a place that is known
        found = retrieval.evaluate(query, bank[shuffled], np.array([1]), (shuffled == nearest).astype(int), ks=(1,))
        assert found.map == pytest.approx(1 / (nearest + 1))


def test_bad_input_is_refused() -> None:
    x, labels = clouds(10, seed=4)
    for ks in ((), (0,), (1, 11)):
        with pytest.raises(EvaluationError, match="expected between 1 and 10"):
            retrieval.evaluate(x, x, labels, labels, ks=ks)
    with pytest.raises(EvaluationError, match="expected between 1 and 9"):
        retrieval.evaluate(x, x, labels, labels, own=np.arange(10), ks=(10,))
    with pytest.raises(EvaluationError, match="no query has a match"):
        retrieval.evaluate(x, x, labels, labels + 10, ks=(1,))
    broken = x.copy()
    broken[3, 1] = np.nan
    with pytest.raises(EvaluationError, match="NaN or infinity"):
        retrieval.evaluate(broken, x, labels, labels)
