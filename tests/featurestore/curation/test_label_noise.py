"""Which labels are wrong: the parts against naive versions, the whole on clusters with planted errors."""

import numpy as np
import pytest
from numpy.typing import NDArray

from featurestore.ann.knn_graph import KnnGraph, build_graph
from featurestore.ann.row_filter import RowFilter
from featurestore.curation.label_noise import (
    Labelled,
    chance_wrong,
    contradicted,
    held_out_probabilities,
    neighbour_shares,
    ridge_probabilities,
    wrong_share,
    wrongness,
)
from featurestore.metrics.calibration import fit_temperature, softmax
from featurestore.progress import Listener

CLASSES = 4


def clusters(count: int, spread: float = 0.25, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    generator = np.random.default_rng(seed)
    codes = np.arange(count) % CLASSES
    x = np.eye(CLASSES, 24)[codes] + spread * generator.standard_normal((count, 24))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float16).astype(np.float32), codes


def labelled(x: NDArray[np.float32], codes: NDArray[np.int64]) -> Labelled:
    vectors = x.astype(np.float16)
    return Labelled(build_graph(vectors, RowFilter(len(x), None), 20, None, Listener()), x, codes, CLASSES)


def planted(count: int = 800, share: float = 0.1) -> tuple[NDArray[np.float32], NDArray[np.int64], NDArray[np.bool_]]:
    x, codes = clusters(count)
    generator = np.random.default_rng(1)
    wrong = np.zeros(count, bool)
    wrong[generator.permutation(count)[: int(share * count)]] = True
    return x, np.where(wrong, (codes + generator.integers(1, CLASSES, count)) % CLASSES, codes), wrong


def test_planted_errors_come_first_and_their_right_labels_are_suggested() -> None:
    x, codes, wrong = planted()
    probabilities = held_out_probabilities(labelled(x, codes))
    score, suggested = wrongness(probabilities, codes)
    first = np.argsort(-score)[:80]
    assert wrong[first].mean() >= 0.95
    assert (suggested[wrong] == clusters(800)[1][wrong]).mean() >= 0.95


def test_the_chance_of_being_wrong_is_about_the_share_that_is() -> None:
    x, codes, wrong = planted()
    pictures = labelled(x, codes)
    probabilities = held_out_probabilities(pictures)
    chance = chance_wrong(pictures, probabilities, 0)
    suspects = probabilities[np.arange(len(codes)), codes] < 0.5
    assert chance[suspects].mean() == pytest.approx(wrong[suspects].mean(), abs=0.2)
    assert chance[~wrong].mean() < 0.05


def test_clean_labels_are_hardly_suspected() -> None:
    x, codes = clusters(800)
    pictures = labelled(x, codes)
    probabilities = held_out_probabilities(pictures)
    assert contradicted(probabilities, codes).mean() < 0.02
    assert chance_wrong(pictures, probabilities, 0).mean() < 0.02


def test_ridge_leaves_each_row_out() -> None:
    x, codes = clusters(60)
    found = ridge_probabilities(x, codes, CLASSES)
    targets = np.where(np.arange(CLASSES) == codes[:, None], 1.0, -1.0)
    held_out = {}
    for strength in (0.1, 1.0, 10.0, 100.0):
        rows = []
        for out in range(len(x)):
            rest = np.delete(np.arange(len(x)), out)
            # Centred as the whole is: leaving a row out of the mean, too, is a difference of the order 1/n.
            a = np.c_[x[rest] - x.mean(axis=0), np.ones(len(rest))].astype(np.float64)
            penalty = strength * np.diag([1.0] * x.shape[1] + [0.0])
            weights = np.linalg.solve(a.T @ a + penalty, a.T @ targets[rest])
            rows.append(np.r_[x[out] - x.mean(axis=0), 1.0] @ weights)
        held_out[strength] = np.array(rows)
    best = min(held_out.values(), key=lambda rows: float(((rows - targets) ** 2).mean()))
    assert found == pytest.approx(softmax(best, fit_temperature(best, codes)), abs=1e-4)


def test_twins_do_not_vote() -> None:
    scores = np.array([[1.0, 0.5], [1.0, 0.5], [0.6, 0.5], [0.6, 0.5]], np.float32)
    graph = KnnGraph(np.arange(4), np.array([[1, 2], [0, 3], [3, 0], [2, 1]]), scores)
    codes = np.array([0, 0, 1, 2])
    shares = neighbour_shares(Labelled(graph, np.eye(4, dtype=np.float32), codes, 3))
    assert shares[0].tolist() == [0, 1, 0]  # its twin of class 0 says nothing
    assert shares[1].tolist() == [0, 0, 1]


def test_a_class_needs_the_probability_that_is_usual_for_it() -> None:
    # Items of class 0 have 0.9 for it on average, those of class 1 only 0.6.
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.4, 0.6], [0.4, 0.6], [0.35, 0.65]])
    codes = np.array([0, 0, 1, 1, 0])
    # Thresholds: 0.717 for class 0, and 0.6 for class 1. The last item has 0.65 for class 1.
    assert contradicted(probabilities, codes).tolist() == [False, False, False, False, True]


def test_wrongness_by_hand() -> None:
    score, suggested = wrongness(np.array([[0.1, 0.7, 0.2]]), np.array([0]))
    assert suggested.tolist() == [1]
    assert score[0] == pytest.approx(0.3 * np.log(0.703) - np.log(0.103))


def test_the_share_of_wrong_labels_is_that_among_the_surest() -> None:
    sure, doubtful = np.tile([0.99, 0.01], (100, 1)), np.tile([0.6, 0.4], (4900, 1))
    codes = np.zeros(5000, np.int64)
    codes[:10] = 1
    codes[200:2000] = 1  # in doubt, so that they say nothing
    share = wrong_share(np.concatenate([sure, doubtful]), codes)
    assert share == pytest.approx((10 + 0.1) / (100 + 20))


def test_the_confident_joint_is_that_of_cleanlab() -> None:
    """It also flags labels whose own class is the likeliest, which are left out here."""
    from cleanlab.filter import find_label_issues  # slow to import: it brings pandas

    x, codes, _ = planted()
    probabilities = held_out_probabilities(labelled(x, codes))
    theirs = find_label_issues(codes, probabilities, filter_by="confident_learning", n_jobs=1)
    likeliest = probabilities.argmax(axis=1) == codes
    assert contradicted(probabilities, codes).tolist() == (theirs & ~likeliest).tolist()
