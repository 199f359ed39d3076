"""Linear classification of arrays, against scikit-learn used directly."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from featurestore.errors import EvaluationError
from featurestore.estimators import linear
from featurestore.estimators.linear import LinearResult
from featurestore.metrics.splits import held_out
from tests.featurestore.metrics.clouds import clouds


def test_the_grid_is_that_of_dinov2() -> None:
    cs = linear.grid()
    assert (len(cs), cs[0], cs[-1]) == pytest.approx((45, 1e-6, 1e5))
    assert cs == pytest.approx((10 ** np.linspace(-6, 5, 45)).tolist())
    assert linear.grid(12) == pytest.approx([10.0**e for e in range(-6, 6)])


def test_each_c_is_measured_on_a_tenth_held_out() -> None:
    x, labels = clouds(200, seed=0)
    tenth = held_out(labels, 0.1, seed=5)
    expected = [
        LogisticRegression(C=c, max_iter=1000).fit(x[~tenth], labels[~tenth]).score(x[tenth], labels[tenth])
        for c in (0.01, 1.0, 100.0)
    ]
    told: list[int] = []
    found = linear.choose(x, labels, [0.01, 1.0, 100.0], seed=5, advance=lambda: told.append(1))
    assert [(r.c, r.top1) for r in found] == list(zip([0.01, 1.0, 100.0], expected, strict=True))
    assert len(told) == 3


def test_of_equally_good_cs_the_smallest_is_taken() -> None:
    results = [LinearResult(0.1, 0.8), LinearResult(1.0, 0.9), LinearResult(10.0, 0.9)]
    assert linear.best(results) == 1.0
    assert linear.best(results[::-1]) == 1.0


def test_all_rows_are_learnt_from_in_the_end() -> None:
    (x, labels), (asked, truth) = clouds(200, seed=1), clouds(100, seed=2)
    said = linear.classify(x, labels, asked, c=1.0)
    assert said.tolist() == LogisticRegression(C=1.0, max_iter=1000).fit(x, labels).predict(asked).tolist()
    assert (said == truth).mean() > 0.6


def test_an_unfinished_fit_is_no_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """Warnings are errors in these tests."""
    monkeypatch.setattr("featurestore.estimators.linear.ITERATIONS", 2)
    x, labels = clouds(50, seed=3)
    assert linear.classify(x, labels, x, c=1e5).shape == (50,)


def test_bad_input_is_refused() -> None:
    x, labels = clouds(20, seed=4)
    with pytest.raises(EvaluationError, match="one class only"):
        linear.choose(x, np.zeros(20, int), [1.0])
    with pytest.raises(EvaluationError, match="one class only"):
        linear.classify(x, np.zeros(20, int), x, 1.0)
    with pytest.raises(EvaluationError, match="every class has one label only"):
        linear.choose(x[:3], np.array([0, 1, 2]), [1.0])
    with pytest.raises(EvaluationError, match="expected at least 1 value"):
        linear.grid(0)
    broken = x.copy()
    broken[3, 1] = np.nan
    for call in (lambda: linear.choose(broken, labels, [1.0]), lambda: linear.classify(x, labels, broken, 1.0)):
        with pytest.raises(EvaluationError, match="no finite numbers"):
            call()
