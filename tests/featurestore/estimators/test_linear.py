"""Linear classification of arrays, against scikit-learn used directly."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression, RidgeClassifier

from featurestore.classifiers import NearestMeanClassifier
from featurestore.errors import EvaluationError
from featurestore.estimators.linear import ALPHA, LinearResult, best_c, c_grid, fit_planes, logistic, try_c
from featurestore.metrics.splits import folds, held_out
from tests.featurestore.metrics.clouds import clouds


def test_the_grid_is_that_of_dinov2() -> None:
    cs = c_grid()
    assert (len(cs), cs[0], cs[-1]) == pytest.approx((45, 1e-6, 1e5))
    assert cs == pytest.approx((10 ** np.linspace(-6, 5, 45)).tolist())
    assert c_grid(12) == pytest.approx([10.0**e for e in range(-6, 6)])


@pytest.mark.parametrize(("few", "many", "repeats"), [(500, 1000, 3), (100, 1000, 1), (50, 100, 0)])
def test_each_c_is_measured_by_folds_and_on_a_tenth_of_many_rows(
    monkeypatch: pytest.MonkeyPatch, few: int, many: int, repeats: int
) -> None:
    monkeypatch.setattr("featurestore.estimators.linear.FEW", few)
    monkeypatch.setattr("featurestore.estimators.linear.MANY", many)
    x, labels = clouds(200, seed=0)
    parts = [folds(labels, 5, seed=5 + repeat) == number for repeat in range(repeats) for number in range(5)]
    parts = parts or [held_out(labels, 0.1, seed=5)]
    calls: list[int] = []
    found = try_c(x, labels, [0.01, 1.0, 100.0], seed=5, advance=lambda: calls.append(1))
    for result, c in zip(found, (0.01, 1.0, 100.0), strict=True):
        right = [LogisticRegression(C=c, max_iter=1000).fit(x[~part], labels[~part]).predict(x[part]) == labels[part] for part in parts]  # fmt: skip
        assert result.c == c
        assert result.top1 == pytest.approx(np.concatenate(right).mean())
    assert len(calls) == 3


def test_few_rows_are_enough_to_choose_c() -> None:
    """Folds that leave one class alone are passed over."""
    x, _ = clouds(200, seed=0)
    for labels in ([0, 1, 1], [0, 0, 1, 1], [0, 1, 2, 2]):
        assert len(try_c(x[: len(labels)], np.array(labels), [1.0, 10.0])) == 2


def test_of_equally_good_cs_the_smallest_is_taken() -> None:
    results = [LinearResult(0.1, 0.8), LinearResult(1.0, 0.9), LinearResult(10.0, 0.9)]
    assert best_c(results) == best_c(results[::-1]) == 1.0


def test_logistic_regression_takes_its_c_and_warns_of_nothing() -> None:
    """Warnings are errors in these tests; two iterations are too few to converge."""
    (x, labels), (test_x, _) = clouds(200, seed=1), clouds(100, seed=2)
    for c in (1e-3, 1.0):
        theirs = LogisticRegression(C=c, max_iter=1000).fit(x, labels)
        assert logistic(x, labels, test_x, c).tolist() == theirs.predict(test_x).tolist()
    assert logistic(x, labels, test_x, c=1e5, iterations=2).shape == (100,)


def test_bad_input_is_refused() -> None:
    x, labels = clouds(20, seed=4)
    broken = x.copy()
    broken[3, 1] = np.nan
    one_class = np.zeros(20, int)
    for call, reason in (
        (lambda: try_c(x, one_class, [1.0]), "one class only"),
        (lambda: logistic(x, one_class, x, 1.0), "one class only"),
        (lambda: try_c(x[:3], np.array([0, 1, 2]), [1.0]), "every class has one label only"),
        (lambda: c_grid(0), "expected at least 1 value"),
        (lambda: try_c(broken, labels, [1.0]), "NaN or infinity"),
        (lambda: logistic(x, labels, broken, 1.0), "NaN or infinity"),
        (lambda: logistic(broken, labels, x, 1.0), "NaN or infinity"),
    ):
        with pytest.raises(EvaluationError, match=reason):
            call()


@pytest.mark.parametrize("classes", [2, 3, 7])
@pytest.mark.parametrize(("method", "near"), [("logistic", 0.1), ("ridge", 1e-9)])  # logistic stops before the optimum
def test_planes_decide_as_scikit_learn_does(method: str, near: float, classes: int) -> None:
    x, codes = clouds(210, classes, classes, spread=1.0)
    x = x.astype(np.float64)
    weights, bias = fit_planes(method, x, codes, 3.0)
    theirs = (
        LogisticRegression(C=3.0, tol=1e-8, max_iter=5000) if method == "logistic" else RidgeClassifier(alpha=ALPHA)
    )
    theirs.fit(x, codes)
    logits = x @ weights + bias
    assert weights.shape == (8, classes)
    expected = theirs.decision_function(x)
    np.testing.assert_allclose(logits[:, 1] if classes == 2 else logits, expected, atol=near)
    assert classes > 2 or not logits[:, 0].any()


def test_planes_of_the_nearest_mean_have_its_probabilities() -> None:
    x, codes = clouds(60, 5, classes=3)
    weights, bias = fit_planes("nearest-mean", x, codes, None)
    powers = np.exp(x @ weights + bias)
    theirs = NearestMeanClassifier().fit(x, codes).predict_proba(x)
    np.testing.assert_allclose(powers / powers.sum(axis=1, keepdims=True), theirs, atol=1e-5)
