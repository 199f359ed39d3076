"""Few labels: means over tries by hand and by loops, and the protocol on stores."""

import json
from typing import Any

import numpy as np
import pytest

from featurestore import FeatureStore
from featurestore.errors import EvaluationError
from featurestore.estimators import FEW_SHOT_METHODS
from featurestore.estimators.linear import ALPHA
from featurestore.evaluation.lowshot import LowShotResult, lowshot_accuracies, summarize
from featurestore.metrics import fraction_draws, shot_draws
from tests.featurestore.evaluation.labelled import SPLITS, arrays
from tests.featurestore.metrics.clouds import clouds

# -- arrays


def test_nearest_neighbour_by_hand() -> None:
    train_x, train_y = np.eye(3, dtype=np.float32), np.array([0, 1, 2])
    test = train_x[[0, 1, 2, 2]], np.array([0, 1, 2, 0])
    draws = list(shot_draws(train_y, shots=1, tries=3))
    found = lowshot_accuracies(train_x, train_y, draws, ["nearest-neighbour"], test)
    assert found == {"nearest-neighbour": [0.75] * 3}
    assert summarize(found, 3, shots=1) == [LowShotResult(1, None, "nearest-neighbour", 0.75, 0.0, 3, 3)]


def test_without_test_rows_those_that_were_not_drawn_are_predicted() -> None:
    x, labels = clouds(30, seed=8, spread=0.3)
    drawn = list(shot_draws(labels, 2, tries=4))
    found = lowshot_accuracies(x, labels, drawn, ["nearest-mean"])
    for rows, accuracy in zip(drawn, found["nearest-mean"], strict=True):
        rest = np.setdiff1d(np.arange(30), rows)
        predicted = FEW_SHOT_METHODS["nearest-mean"](x[rows], labels[rows], x[rest])
        assert accuracy == pytest.approx((predicted == labels[rest]).mean())


def test_all_methods_see_the_same_draws() -> None:
    x, labels = clouds(60, seed=9)
    drawn = list(shot_draws(labels, 3, tries=3))
    calls: list[int] = []
    together = lowshot_accuracies(x, labels, drawn, list(FEW_SHOT_METHODS), advance=lambda: calls.append(1))
    assert together == {m: lowshot_accuracies(x, labels, drawn, [m])[m] for m in FEW_SHOT_METHODS}
    assert len(calls) == 3


def test_a_result_has_shots_or_fraction() -> None:
    by_shots, by_share = (
        summarize({"knn": [0.5, 0.7]}, 10, **amount)[0].to_json() for amount in ({"shots": 5}, {"fraction": 0.01})
    )
    assert by_shots == {"shots": 5, "method": "knn", "top1_mean": pytest.approx(0.6), "top1_ci95": pytest.approx(1.27062, abs=1e-5), "tries": 2, "labels": 10, "without_twins": None}  # fmt: skip
    assert by_share == {"fraction": 0.01, **{k: v for k, v in by_shots.items() if k != "shots"}}


def test_bad_input_is_refused() -> None:
    x, labels = clouds(20, seed=10)
    drawn = [np.arange(20)]
    with pytest.raises(EvaluationError, match="none is left to predict"):
        lowshot_accuracies(x, labels, drawn, ["knn"])
    with pytest.raises(EvaluationError, match="one class only"):
        lowshot_accuracies(x, np.zeros(20, int), drawn, ["knn"])
    broken = x.copy()
    broken[3, 1] = np.inf
    for given in ((broken, labels, drawn, ["knn"], (x, labels)), (x, labels, drawn, ["knn"], (broken, labels))):
        with pytest.raises(EvaluationError, match="NaN or infinity"):
            lowshot_accuracies(*given)


# -- stores


def test_lowshot_with_splits_predicts_test_from_draws_of_train(splits: FeatureStore) -> None:
    (x, labels), test = arrays(splits, "train"), arrays(splits, "test")
    report = splits.lowshot(shots=[2], fractions=[0.1], tries=3, methods=["ridge", "nearest-mean"], seed=7)
    drawn = list(shot_draws(labels, 2, 3, seed=7))
    expected = lowshot_accuracies(x, labels, drawn, ["ridge", "nearest-mean"], test)
    share = list(fraction_draws(labels, 0.1, 3, seed=7))
    by_share = lowshot_accuracies(x, labels, share, ["ridge", "nearest-mean"], test)
    copied = splits.labelled_items().twins
    others = test[0][~copied], test[1][~copied]
    expected_others = lowshot_accuracies(x, labels, drawn, ["ridge", "nearest-mean"], others)
    by_share_others = lowshot_accuracies(x, labels, share, ["ridge", "nearest-mean"], others)
    assert report.results == [
        *summarize(expected, 6, 2, None, expected_others), *summarize(by_share, len(share[0]), None, 0.1, by_share_others),
    ]  # fmt: skip
    assert report.twins == copied.sum() > 0
    assert (report.split, report.n_train, report.n_test, report.seed) == ("train->test", *SPLITS, 7)
    report_json = json.loads(json.dumps(report.to_json()))
    assert report_json.keys() == {"protocol", "encoder", "split", "n_train", "n_test", "seed", "settings", "results", "left_out", "twins", "where", "notes"}  # fmt: skip
    assert report_json["settings"] == {"ridge": {"alpha": ALPHA}}
    assert [set(r) for r in report_json["results"]] == [
        {amount, "method", "top1_mean", "top1_ci95", "tries", "labels", "without_twins"}
        for amount in ("shots", "shots", "fraction", "fraction")
    ]


def test_lowshot_without_splits_predicts_what_was_not_drawn(whole: FeatureStore) -> None:
    x, labels = arrays(whole)
    report = whole.lowshot(shots=[3], tries=2, methods=["nearest-mean"])
    drawn = list(shot_draws(labels, 3, 2))
    copied = whole.labelled_items().twins
    others = lowshot_accuracies(x, labels, drawn, ["nearest-mean"], unasked=copied)
    assert report.results == summarize(lowshot_accuracies(x, labels, drawn, ["nearest-mean"]), 9, 3, None, others)
    for rows, accuracy in zip(drawn, others["nearest-mean"], strict=True):
        rest = np.setdiff1d(np.flatnonzero(~copied), rows)
        predicted = FEW_SHOT_METHODS["nearest-mean"](x[rows], labels[rows], x[rest])
        assert accuracy == pytest.approx((predicted == labels[rest]).mean())
    assert (report.split, report.n_test) == ("drawn->rest", 240)


def test_lowshot_defaults_to_what_every_class_has(whole: FeatureStore, shared: FeatureStore) -> None:
    report = whole.lowshot(tries=2, methods=["nearest-mean"])
    assert [r.shots or r.fraction for r in report.results] == [1, 2, 5, 10, 0.01, 0.1]
    assert [r.labels for r in report.results] == [3, 6, 15, 30, 3, 23]  # of 240, each class rounded
    assert {r.shots for r in shared.lowshot(tries=2, methods=["knn"]).results} == {1, None}  # one class has one item
    assert {r.method for r in whole.lowshot(shots=[1], tries=2).results} == {"nearest-mean", "knn", "logistic", "ridge"}


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"shots": [3]}, r"shots = 3: expected between 1 and 2.*\(mixed has 2, plain has 1\)"),
        ({"methods": ["knn", "magic"]}, "method magic: expected some of nearest-mean, knn"),
        ({"methods": []}, "method none"),
        ({"tries": 1}, "tries = 1: expected at least 2"),
    ],
)
def test_what_cannot_be_measured_is_refused(shared: FeatureStore, wrong: dict[str, Any], reason: str) -> None:
    with pytest.raises(EvaluationError, match=reason):
        shared.lowshot(**wrong)
