"""Classifiers of vectors: scikit-learn's contract, cases that can be computed in the head, and plain loops."""

import math
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

from featurestore.estimators.few_shot import ALPHA
from featurestore.estimators.linear import fit_planes
from featurestore.estimators.scikit import KnnClassifier, NearestMeanClassifier


def clouds(classes: int, n: int = 60, dim: int = 5) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Unit vectors around a mean for each class, so near to each other that classes overlap."""
    rng = np.random.default_rng(classes)
    codes = np.arange(n) % classes
    x = rng.normal(size=(classes, dim))[codes] + rng.normal(size=(n, dim))
    return x / np.linalg.norm(x, axis=1, keepdims=True), codes


@parametrize_with_checks([NearestMeanClassifier(), KnnClassifier()])  # type: ignore[untyped-decorator]
def test_they_keep_the_contract_of_scikit_learn(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.parametrize("estimator", [NearestMeanClassifier(), KnnClassifier(k=1)])
def test_labels_of_any_kind_come_back_as_they_were(estimator: Any) -> None:
    x = [[1.0, 0.0], [0.0, 1.0]]
    for labels in (["rose", "7"], [7, 3], [True, False]):
        assert estimator.fit(x, labels).predict([[0.1, 5.0], [5.0, 0.1]]).tolist() == labels[::-1]


@pytest.mark.parametrize(
    "estimator",
    [NearestMeanClassifier(temperature=0), KnnClassifier(temperature=-1), KnnClassifier(temperature=math.nan), KnnClassifier(k=0)],
)  # fmt: skip
def test_settings_that_make_no_sense_are_refused(estimator: Any) -> None:
    with pytest.raises(ValueError, match="expected"):
        estimator.fit([[1.0], [2.0]], [0, 1])


# -- nearest mean


def test_the_nearest_mean_is_computed_in_the_head() -> None:
    model = NearestMeanClassifier(temperature=0.5).fit([[2, 0], [0, 3], [0, 1]], ["east", "north", "north"])
    assert model.means_.tolist() == [[1, 0], [0, 1]]
    [[east, north]] = model.predict_proba([[3, 4]])  # scores 0.6 and 0.8
    assert north / east == pytest.approx(math.exp(0.2 / 0.5))
    assert east + north == pytest.approx(1)


def test_only_the_direction_of_a_vector_counts() -> None:
    x, codes = clouds(3)
    lengths = np.random.default_rng(0).uniform(0.1, 10, (len(x), 1))
    for estimator in (NearestMeanClassifier(), KnnClassifier()):
        plain, scaled = (
            estimator.fit(x, codes).predict_proba(x),
            estimator.fit(lengths * x, codes).predict_proba(x / lengths),
        )
        np.testing.assert_allclose(plain, scaled, atol=1e-12)


def test_a_vector_of_zeros_is_as_near_to_all() -> None:
    for estimator in (NearestMeanClassifier(), KnnClassifier()):
        model = estimator.fit([[1.0, 0.0], [0.0, 1.0]], ["a", "b"])
        assert model.predict_proba([[0.0, 0.0]]).tolist() == [[0.5, 0.5]]
        assert model.predict([[0.0, 0.0]]).tolist() == ["a"]


# -- k nearest neighbours


def naive_shares(
    x: NDArray[np.float64], codes: NDArray[np.int64], query: NDArray[np.float64], k: int, temperature: float
) -> list[float]:
    scores = [float(sum(a * b for a, b in zip(row, query, strict=True))) for row in x]
    nearest = sorted(range(len(x)), key=lambda row: (-scores[row], row))[:k]
    votes = [0.0] * (codes.max() + 1)
    for row in nearest:
        votes[codes[row]] += math.exp(scores[row] / temperature)
    return [vote / sum(votes) for vote in votes]


@pytest.mark.parametrize("k", [1, 7, 60, 1000])
@pytest.mark.parametrize("held", [1, 1 << 24])
def test_neighbours_vote_as_in_a_plain_loop(k: int, held: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("featurestore.estimators.classifiers.COMPARED", held)  # one query at a time, or all at once
    x, codes = clouds(4)
    queries = clouds(5)[0][:20]
    found = KnnClassifier(k, temperature=0.2).fit(x, codes).predict_proba(queries)
    np.testing.assert_allclose(found, [naive_shares(x, codes, query, k, 0.2) for query in queries], atol=1e-12)


def test_of_equally_near_neighbours_the_first_vote() -> None:
    x = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    assert KnnClassifier(k=2).fit(x, ["c", "b", "a", "a"]).predict_proba([[1.0, 0.0]]).tolist() == [[0.5, 0.5, 0.0]]


# -- fit_planes


@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize(
    ("method", "near"), [("logistic", 0.1), ("ridge", 1e-9)]
)  # the former as far as its steps went
def test_planes_decide_as_scikit_learn_does(method: str, near: float, classes: int) -> None:
    x, codes = clouds(classes, n=210)
    weights, bias = fit_planes(method, x, codes, 3.0)
    theirs = (
        LogisticRegression(C=3.0, tol=1e-8, max_iter=5000) if method == "logistic" else RidgeClassifier(alpha=ALPHA)
    )
    theirs.fit(x, codes)
    logits = x @ weights + bias
    assert weights.shape == (5, classes)
    expected = theirs.decision_function(x)
    np.testing.assert_allclose(logits[:, 1] if classes == 2 else logits, expected, atol=near)
    assert classes > 2 or not logits[:, 0].any()


def test_planes_of_the_nearest_mean_are_its_means() -> None:
    x, codes = clouds(3)
    weights, bias = fit_planes("nearest-mean", x, codes, None)
    theirs = NearestMeanClassifier().fit(x, codes).predict_proba(x)
    raised = np.exp(x @ weights + bias)
    np.testing.assert_allclose(raised / raised.sum(axis=1, keepdims=True), theirs, atol=1e-12)
