"""What every estimator does: the functions of the table, the scikit-learn classes and the planes of a stored classifier."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.utils.estimator_checks import parametrize_with_checks

from featurestore.classifiers import KnnClassifier, NearestMeanClassifier
from featurestore.estimators import FEW_SHOT_METHODS, Method
from featurestore.estimators.linear import ALPHA, C, fit_planes
from featurestore.estimators.nearest_mean import class_means
from tests.featurestore.metrics.clouds import clouds

Floats = NDArray[np.floating]
Labels = NDArray[np.integer]


def by_class(make: Callable[[], Any]) -> Method:
    return lambda train_x, train_y, test_x: np.asarray(make().fit(train_x, train_y).predict(test_x))


def by_planes(method: str) -> Method:
    def predict(train_x: Floats, train_y: Labels, test_x: Floats) -> Labels:
        classes, codes = np.unique(train_y, return_inverse=True)
        weights, bias = fit_planes(method, train_x, codes, None)
        return np.asarray(classes[(test_x @ weights + bias).argmax(axis=1)])

    return predict


ESTIMATORS: dict[str, Method] = {
    **FEW_SHOT_METHODS,
    "NearestMeanClassifier": by_class(NearestMeanClassifier),
    "KnnClassifier": by_class(KnnClassifier),
    "planes of nearest-mean": by_planes("nearest-mean"),
    "planes of logistic": by_planes("logistic"),
    "planes of ridge": by_planes("ridge"),
}


@pytest.mark.parametrize("name", ESTIMATORS)
def test_a_prediction_depends_on_its_own_vector_and_the_training_set_only(name: str) -> None:
    (x, labels), (test_x, _) = clouds(40, 0), clouds(30, 1)
    arguments = x.copy(), labels.copy(), test_x.copy()
    predicted = ESTIMATORS[name](*arguments).tolist()
    for given, before in zip(arguments, (x, labels, test_x), strict=True):
        np.testing.assert_array_equal(given, before)
    order = np.random.default_rng(2).permutation(40)
    assert ESTIMATORS[name](x[order], labels[order], test_x).tolist() == predicted
    assert [ESTIMATORS[name](x, labels, one[None]).item() for one in test_x] == predicted


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("nearest-mean", "NearestMeanClassifier"),
        ("nearest-mean", "planes of nearest-mean"),
        ("knn", "KnnClassifier"),
        ("logistic", "planes of logistic"),
        ("ridge", "planes of ridge"),
    ],
)
def test_one_rule_predicts_the_same_in_every_form(one: str, other: str) -> None:
    (x, labels), (test_x, _) = clouds(60, 3), clouds(100, 4)
    assert ESTIMATORS[one](x, labels, test_x).tolist() == ESTIMATORS[other](x, labels, test_x).tolist()


@pytest.mark.parametrize("n", [8, 20, 60])
def test_predictions_are_those_of_scikit_learn(n: int) -> None:
    (x, codes), (test_x, _) = clouds(n, 4), clouds(100, 5)
    means, labels = class_means(x, codes), 3 * codes + 7
    theirs: dict[str, Any] = {
        "nearest-mean": KNeighborsClassifier(1).fit(means, [7, 10, 13, 16]),  # of unit vectors: also the highest score
        "knn": KNeighborsClassifier(min(20, n), weights=lambda d: np.exp((1 - d) / 0.07), metric="cosine", algorithm="brute").fit(x, labels),
        "logistic": LogisticRegression(C=C, max_iter=1000).fit(x, labels),
        "ridge": RidgeClassifier(alpha=ALPHA).fit(x, labels),
        "nearest-neighbour": KNeighborsClassifier(1).fit(x, labels),
    }  # fmt: skip
    assert theirs.keys() == FEW_SHOT_METHODS.keys()
    for name, model in theirs.items():
        assert FEW_SHOT_METHODS[name](x, labels, test_x).tolist() == model.predict(test_x).tolist()
    for c in range(4):
        mean = x[codes == c].mean(axis=0)
        assert means[c] == pytest.approx(mean / np.linalg.norm(mean), abs=1e-6)


# -- the scikit-learn classes

CLASSES = [NearestMeanClassifier(), KnnClassifier()]


@parametrize_with_checks(CLASSES)  # type: ignore[untyped-decorator]
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
def test_settings_out_of_range_are_refused(estimator: Any) -> None:
    with pytest.raises(ValueError, match="expected"):
        estimator.fit([[1.0], [2.0]], [0, 1])


@pytest.mark.parametrize("estimator", CLASSES)
def test_only_the_direction_of_a_vector_counts(estimator: Any) -> None:
    x, codes = clouds(60, 6, classes=3)
    lengths = np.random.default_rng(0).uniform(0.1, 10, (len(x), 1))
    plain = estimator.fit(x, codes).predict_proba(x)
    np.testing.assert_allclose(plain, estimator.fit(lengths * x, codes).predict_proba(x / lengths), atol=1e-5)


@pytest.mark.parametrize("estimator", CLASSES)
def test_a_vector_of_zeros_is_equally_near_to_all(estimator: Any) -> None:
    model = estimator.fit([[1.0, 0.0], [0.0, 1.0]], ["a", "b"])
    assert model.predict_proba([[0.0, 0.0]]).tolist() == [[0.5, 0.5]]
    assert model.predict([[0.0, 0.0]]).tolist() == ["a"]


def test_the_nearest_mean_by_hand() -> None:
    model = NearestMeanClassifier(temperature=0.5).fit([[2, 0], [0, 3], [0, 1]], ["east", "north", "north"])
    [[east, north]] = model.predict_proba([[3, 4]])  # scores 0.6 and 0.8
    assert (north / east, east + north) == pytest.approx((math.exp(0.2 / 0.5), 1))


@pytest.mark.parametrize("k", [1, 7, 60, 1000])
def test_neighbours_vote_as_in_a_plain_loop(k: int) -> None:
    x, codes = (a.astype(float) for a in clouds(60, 7, spread=1.0))
    queries = clouds(20, 8, spread=1.0)[0].astype(float)
    x, queries = (a / np.linalg.norm(a, axis=1, keepdims=True) for a in (x, queries))
    shares = []
    for query in queries:
        scores = [float(sum(a * b for a, b in zip(row, query, strict=True))) for row in x]
        votes = [0.0] * 4
        for row in sorted(range(60), key=lambda row: (-scores[row], row))[:k]:
            votes[int(codes[row])] += math.exp(scores[row] / 0.2)
        shares.append([vote / sum(votes) for vote in votes])
    found = KnnClassifier(k, temperature=0.2).fit(x, codes).predict_proba(queries)
    np.testing.assert_allclose(found, shares, atol=1e-12)


def test_of_equally_near_neighbours_the_first_vote() -> None:
    x = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 0.0], [1.0, 0.0]])
    assert KnnClassifier(k=2).fit(x, ["c", "b", "a", "a"]).predict_proba([[1.0, 0.0]]).tolist() == [[0.5, 0.5, 0.0]]
