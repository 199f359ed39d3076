"""Linear classification and retrieval of stores whose vectors are colours, and what all measures refuse."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from featurestore import FeatureStore, classification, evaluation
from featurestore.errors import ConfigError, EvaluationError
from featurestore.estimators.linear import best_c, c_grid, logistic, try_c
from featurestore.metrics import folds, retrieval
from tests.featurestore.evaluation.labelled import SPLITS, WHOLE, arrays, labelled_store

# -- linear


def test_linear_with_splits_is_the_protocol_step_by_step(splits: FeatureStore) -> None:
    (x, labels), (asked, truth) = arrays(splits, "train"), arrays(splits, "test")
    report = splits.linear(grid=6, seed=2)
    tried = try_c(x, labels, c_grid(6), seed=2)
    assert report.results == tried
    assert report.c == best_c(tried)
    model = LogisticRegression(C=report.c, max_iter=1000).fit(x, labels)
    assert report.top1 == pytest.approx(model.score(asked, truth))
    assert report.top1_ci95[0] < report.top1 < report.top1_ci95[1]
    assert (report.split, report.n_train, report.n_test, report.seed) == ("train->test", *SPLITS, 2)
    assert sum(c.n * (c.recall or 0) for c in report.classes) == pytest.approx(report.top1 * 80)
    assert 0.5 < report.top1 < 1
    report_json = json.loads(json.dumps(report.to_json()))
    assert report_json.keys() == {
        "protocol", "encoder", "split", "n_train", "n_test", "seed", "results", "c", "top1", "top1_ci95", "classes", "unseen",
        "twins", "where", "notes",
    }  # fmt: skip
    assert [set(r) for r in report_json["results"]] == [{"c", "top1"}] * 6


@pytest.mark.slow
def test_linear_without_splits_cross_validates(whole: FeatureStore) -> None:
    x, labels = arrays(whole)
    report = whole.linear(grid=6)
    fold = folds(labels, 5)
    predicted = np.empty(240, int)
    chosen = [best_c(try_c(x[fold != f], labels[fold != f], c_grid(6))) for f in range(5)]
    for f, c in enumerate(chosen):
        predicted[fold == f] = logistic(x[fold != f], labels[fold != f], x[fold == f], c)
    assert report.top1 == pytest.approx((predicted == labels).mean())
    assert (report.split, report.n_train, report.n_test) == ("cross-validation", *WHOLE)
    assert report.c == sorted(chosen)[2]


# -- retrieval


def test_retrieval_by_splits_and_without(splits: FeatureStore, whole: FeatureStore) -> None:
    (x, labels), (asked, truth) = arrays(splits, "train"), arrays(splits, "test")
    report = splits.retrieval()
    assert report.result == retrieval.evaluate(asked, x, truth, labels)
    assert (report.split, report.n_train, report.n_test) == ("train->test", *SPLITS)
    x, labels = arrays(whole)
    alone = whole.retrieval(k=[3])
    bank = x.copy()  # numpy multiplies an array by itself in another order, so that nearly equal scores change places
    assert alone.result == retrieval.evaluate(x, bank, labels, labels, np.arange(240), [3])
    written = json.loads(json.dumps(alone.to_json()))
    assert list(written) == [
        "protocol", "encoder", "split", "n_train", "n_test", "results", "queries_without_match", "twins", "several_labels", "where", "notes",
    ]  # fmt: skip
    assert written["results"].keys() == {"map", "recall@3", "precision@3"}
    assert (written["split"], written["queries_without_match"]) == ("leave-one-out", 0)


def test_retrieval_counts_queries_without_a_match(shared: FeatureStore) -> None:
    report = shared.retrieval()
    assert report.result.queries_without_match == 1  # the one plain picture
    assert list(report.result.recall) == [1, 5]
    with pytest.raises(EvaluationError, match="k = 6: expected between 1 and 5"):
        shared.retrieval(k=[6])


# -- what all refuse

MEASURES: dict[str, Callable[[FeatureStore], Any]] = {
    "knn": lambda store: evaluation.knn(store, k=1),
    "linear": evaluation.linear,
    "lowshot": evaluation.lowshot,
    "episodes": evaluation.episodes,
    "retrieval": evaluation.retrieval,
    "classifier": lambda store: classification.train(store, "kind"),
}


@pytest.fixture(scope="module")
def refused(tmp_path_factory: pytest.TempPathFactory, encoder: Path, indexed: Path) -> dict[str, FeatureStore]:
    """Stores that cannot be measured, by the reason."""
    folder = tmp_path_factory.mktemp("refused")
    damaged = FeatureStore.open(shutil.copytree(indexed, folder / "damaged.store"))
    [file] = (damaged.path / "vectors").iterdir()
    vectors = np.fromfile(file, np.float16).reshape(-1, 12)
    vectors[3, 5] = np.nan
    file.write_bytes(vectors.tobytes())
    return {
        "this needs labels, and the store has none: index with --labels folders": labelled_store(folder / "none", encoder, [(".", (1, 2, 3)), (".", (3, 2, 1))]),
        "all 2 labelled images are of one class, 'rose'": labelled_store(folder / "one", encoder, [("rose", (1, 2, 3)), ("rose", (3, 2, 1))]),
        r"the vector in row 3 .* featurestore verify STORE": damaged,
    }  # fmt: skip


@pytest.mark.parametrize("measure", MEASURES)
def test_stores_that_cannot_be_measured_are_refused(refused: dict[str, FeatureStore], measure: str) -> None:
    for reason, store in refused.items():
        with pytest.raises(EvaluationError, match=reason):
            MEASURES[measure](store)


@pytest.mark.parametrize("measure", ["linear", "lowshot", "classifier"])
def test_scikit_learn_is_required_only_where_it_is_needed(
    shared: FeatureStore, measure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"needs sklearn.*pip install 'featurestore\[eval\]'"):
        MEASURES[measure](shared)
    assert shared.lowshot(tries=2, methods=["nearest-mean", "knn"]).results
