"""Few labels: draws, ways to learn from them, and means over tries, by hand, by loops and against scikit-learn."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier

from featurestore.errors import EvaluationError
from featurestore.estimators import few_shot as fewlabels
from featurestore.estimators.few_shot import METHODS
from featurestore.metrics import lowshot
from tests.featurestore.metrics.clouds import clouds

# -- draws


def test_draws_take_so_many_of_each_class() -> None:
    labels = np.array([2, 0, 0, 2, 2, 0, 5, 5])
    for drawn_rows in lowshot.draws(labels, shots=2, tries=5):
        assert sorted(labels[drawn_rows].tolist()) == [0, 0, 2, 2, 5, 5]
        assert len(set(drawn_rows.tolist())) == 6


def test_draws_of_a_share_take_at_least_one_of_each_class() -> None:
    labels = np.repeat([0, 1, 2], [100, 40, 3])
    for drawn_rows in lowshot.fraction_draws(labels, 0.1, tries=3):
        assert np.bincount(labels[drawn_rows]).tolist() == [10, 4, 1]
        assert len(set(drawn_rows.tolist())) == 15
    [everything] = lowshot.fraction_draws(labels, 1.0, tries=1)
    assert sorted(everything.tolist()) == list(range(143))


def test_a_try_depends_on_its_number_alone() -> None:
    labels = np.repeat([0, 1], 30)
    several = [rows.tolist() for rows in lowshot.draws(labels, 3, tries=4, seed=10)]
    assert [rows.tolist() for rows in lowshot.draws(labels, 3, tries=2, seed=12)] == several[2:]
    assert len({tuple(rows) for rows in several}) == 4


def test_draws_of_more_labels_hold_those_of_fewer() -> None:
    labels = np.repeat([0, 1], 30)
    for few, more, share in zip(
        lowshot.draws(labels, 2, 3), lowshot.draws(labels, 5, 3), lowshot.fraction_draws(labels, 0.5, 3), strict=True
    ):
        assert set(few.tolist()) < set(more.tolist()) < set(share.tolist())


@pytest.mark.parametrize("shots", [0, 3])
def test_more_shots_than_the_smallest_class_has_are_refused(shots: int) -> None:
    labels = np.array([0, 0, 0, 1, 1])
    with pytest.raises(
        EvaluationError, match=r"expected between 1 and 2, the labels of the smallest class \(1 has 2\)"
    ):
        lowshot.draws(labels, shots, tries=1)
    with pytest.raises(EvaluationError, match=r"\(rose has 2\)"):
        lowshot.draws(labels, shots, tries=1, names=["tulip", "rose"])


def test_every_class_with_too_few_labels_is_named_but_not_endlessly() -> None:
    labels = np.repeat(np.arange(9), [8, 1, 2, 3, 4, 5, 6, 7, 9])
    with pytest.raises(EvaluationError, match=r"\(b has 1, c has 2, d has 3, e has 4, f has 5 and 2 more\)"):
        lowshot.draws(labels, 8, tries=1, names="abcdefghi")


@pytest.mark.parametrize("fraction", [0.0, -0.1, 1.1, math.nan])
def test_a_share_out_of_range_is_refused(fraction: float) -> None:
    with pytest.raises(EvaluationError, match="expected more than 0 and at most 1"):
        lowshot.fraction_draws(np.array([0, 1]), fraction, tries=1)


# -- ways to learn


@pytest.mark.parametrize("method", METHODS)
def test_every_method_tells_clouds_apart(method: str) -> None:
    (x, labels), (asked, truth) = clouds(40, seed=0, spread=0.15), clouds(100, seed=1, spread=0.15)
    assert (METHODS[method](x, labels + 7, asked) == truth + 7).mean() > 0.95  # labels need not begin with 0


def test_nearest_mean_is_the_neighbour_among_means_of_scikit_learn() -> None:
    """The nearest of vectors of length one is the one with the highest score."""
    (x, labels), (asked, _) = clouds(40, seed=2), clouds(100, seed=3)
    means = fewlabels.means(x, labels)
    np.testing.assert_allclose(np.linalg.norm(means, axis=1), 1, rtol=1e-6)
    theirs = KNeighborsClassifier(1).fit(means, np.arange(len(means)))
    assert fewlabels.nearest_mean(x, labels, asked).tolist() == theirs.predict(asked).tolist()
    for c in range(4):
        assert means[c] == pytest.approx(
            x[labels == c].mean(axis=0) / np.linalg.norm(x[labels == c].mean(axis=0)), abs=1e-6
        )


@pytest.mark.parametrize("n", [8, 20, 60])
def test_knn_is_that_of_scikit_learn(n: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("featurestore.estimators.few_shot.BLOCK", 33)
    (x, labels), (asked, _) = clouds(n, seed=4), clouds(100, seed=5)
    theirs = KNeighborsClassifier(
        min(20, n), weights=lambda d: np.exp((1 - d) / 0.07), metric="cosine", algorithm="brute"
    ).fit(x, labels)
    assert fewlabels.neighbours(x, labels, asked).tolist() == theirs.predict(asked).tolist()


def test_regressions_are_those_of_scikit_learn() -> None:
    (x, labels), (asked, _) = clouds(20, seed=6), clouds(100, seed=7)
    logistic = LogisticRegression(C=fewlabels.C, max_iter=1000).fit(x, labels)
    assert fewlabels.logistic(x, labels, asked).tolist() == logistic.predict(asked).tolist()
    ridge = RidgeClassifier(alpha=fewlabels.ALPHA).fit(x, labels)
    assert fewlabels.ridge(x, labels, asked).tolist() == ridge.predict(asked).tolist()


def test_of_equal_scores_the_first_places_are_the_nearest() -> None:
    scores = np.array([[0.1, 0.9, 0.5, 0.5, 0.5, 0.9], [0.0, 0.0, 0.0, 0.0, 0.0, 1.0], [6, 5, 4, 3, 2, 1]])
    for k in range(1, 7):
        found, places = fewlabels.nearest(scores, k)
        expected = [
            sorted(range(6), key=[(-s, i) for i, s in enumerate(line)].__getitem__)[:k] for line in scores.tolist()
        ]
        assert places.tolist() == expected
        assert found.tolist() == np.take_along_axis(scores, np.array(expected), axis=1).tolist()


# -- tries


def test_nearest_neighbour_names_what_lies_nearest() -> None:
    train_x, train_y = np.eye(3, dtype=np.float32), np.array([0, 1, 2])
    test = train_x[[0, 1, 2, 2]], np.array([0, 1, 2, 0])
    drawn = list(lowshot.draws(train_y, shots=1, tries=3))
    found = lowshot.accuracies(train_x, train_y, drawn, ["nearest-neighbour"], test)
    assert found == {"nearest-neighbour": [0.75] * 3}
    [result] = lowshot.summary(found, labels=3, shots=1)
    assert result == lowshot.LowShotResult(1, None, "nearest-neighbour", 0.75, 0.0, 3, 3)


def test_mean_and_interval_are_those_of_the_tries() -> None:
    train_x = np.array([[1, 0], [0, 1], [0, 1]], np.float32)
    train_y = np.array([0, 0, 1])  # the second is like class 1: tries that draw it see no difference, and class 0 wins
    test = np.array([[1, 0], [0, 1]], np.float32), np.array([0, 1])
    drawn = list(lowshot.draws(train_y, 1, 8, seed=3))
    [result] = lowshot.summary(lowshot.accuracies(train_x, train_y, drawn, ["nearest-mean"], test), 2, shots=1)
    lucky = [0 in rows for rows in drawn]
    scores = [1.0 if luck else 0.5 for luck in lucky]
    assert 0 < sum(lucky) < 8
    mean = sum(scores) / 8
    spread = math.sqrt(sum((s - mean) ** 2 for s in scores) / 7)
    assert result.top1_mean == pytest.approx(mean)
    assert result.top1_ci95 == pytest.approx(2.364624 * spread / math.sqrt(8))  # t of 7 degrees of freedom


def test_without_test_rows_those_that_were_not_drawn_are_named() -> None:
    x, labels = clouds(30, seed=8, spread=0.3)
    drawn = list(lowshot.draws(labels, 2, tries=4))
    found = lowshot.accuracies(x, labels, drawn, ["nearest-mean"])
    for rows, accuracy in zip(drawn, found["nearest-mean"], strict=True):
        rest = [i for i in range(30) if i not in rows]
        assert accuracy == pytest.approx(naive_nearest_mean(x, labels, rows.tolist(), rest))


def naive_nearest_mean(x: NDArray[np.float32], labels: NDArray[np.int64], rows: list[int], rest: list[int]) -> float:
    right = 0
    for i in rest:
        scores = {}
        for c in set(labels[rows].tolist()):
            mean = sum(x[r].astype(float) for r in rows if labels[r] == c)
            scores[c] = float(mean @ x[i]) / math.sqrt(float(mean @ mean))
        right += max(scores, key=lambda c: scores[c]) == labels[i]
    return right / len(rest)


def test_all_methods_see_the_same_draws() -> None:
    x, labels = clouds(60, seed=9)
    drawn = list(lowshot.draws(labels, 3, tries=3))
    told: list[int] = []
    together = lowshot.accuracies(x, labels, drawn, list(METHODS), advance=lambda: told.append(1))
    assert together == {m: lowshot.accuracies(x, labels, drawn, [m])[m] for m in METHODS}
    assert len(told) == 3


def test_a_result_says_shots_or_share() -> None:
    by_shots, by_share = (
        lowshot.summary({"knn": [0.5, 0.7]}, 10, **amount)[0].to_json() for amount in ({"shots": 5}, {"fraction": 0.01})
    )
    assert by_shots == {"shots": 5, "method": "knn", "top1_mean": pytest.approx(0.6), "top1_ci95": pytest.approx(1.27062, abs=1e-5), "tries": 2, "labels": 10}  # fmt: skip
    assert by_share == {"fraction": 0.01, **{k: v for k, v in by_shots.items() if k != "shots"}}


def test_bad_input_is_refused() -> None:
    x, labels = clouds(20, seed=10)
    drawn = [np.arange(20)]
    with pytest.raises(EvaluationError, match="none is left to be named"):
        lowshot.accuracies(x, labels, drawn, ["knn"])
    with pytest.raises(EvaluationError, match="one class only"):
        lowshot.accuracies(x, np.zeros(20, int), drawn, ["knn"])
    broken = x.copy()
    broken[3, 1] = np.inf
    for arrays in ((broken, labels, drawn, ["knn"], (x, labels)), (x, labels, drawn, ["knn"], (broken, labels))):
        with pytest.raises(EvaluationError, match="no finite numbers"):
            lowshot.accuracies(*arrays)
