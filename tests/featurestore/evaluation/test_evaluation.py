"""Figures of stores whose vectors are colours: splits, what is left out, and what is reported."""

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression

from featurestore import FeatureStore
from featurestore.errors import ConfigError, EvaluationError
from featurestore.estimators import few_shot as fewlabels
from featurestore.estimators import linear
from featurestore.evaluation.knn import KnnResult
from featurestore.metrics import episodes, lowshot, retrieval
from featurestore.metrics.confusion import Confusion
from featurestore.metrics.splits import folds
from tests.featurestore.evaluation.labelled import labelled_store, random_entries

SPLITS, WHOLE = (160, 80), (240, 240)  # items of train and test


@pytest.fixture(scope="module")
def splits(tmp_path_factory: pytest.TempPathFactory, encoder: Path) -> FeatureStore:
    return labelled_store(tmp_path_factory.mktemp("splits"), encoder, random_entries(True, 240))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, encoder: Path) -> FeatureStore:
    return labelled_store(tmp_path_factory.mktemp("whole"), encoder, random_entries(False, 240))


def arrays(store: FeatureStore, split: str | None = None) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    _, x, labels = store.features(split=split)
    return x, np.unique(labels.astype(str), return_inverse=True)[1]


# -- k-NN


def naive_knn(
    x: NDArray[np.float32], y: list[str], split: list[str | None], k: int, temperature: float
) -> tuple[float, float]:
    """Top-1 and top-5 by loops; without splits each leaves itself out."""
    leave_one_out = not any(split)
    everything = list(range(len(x)))
    test = everything if leave_one_out else [i for i in everything if split[i] == "test"]
    train = everything if leave_one_out else [i for i in everything if split[i] == "train"]
    scores = x @ x.T
    classes = sorted(set(y))
    top1 = top5 = 0
    for i in test:
        nearest = sorted((j for j in train if not (leave_one_out and i == j)), key=lambda j: (-scores[i, j], j))[:k]
        votes = dict.fromkeys(classes, 0.0)
        for j in nearest:
            votes[y[j]] += math.exp(scores[i, j] / temperature)
        ranked = [c for c in sorted(classes, key=lambda c: -votes[c]) if votes[c] > 0]
        top1 += ranked[0] == y[i]
        top5 += y[i] in ranked[:5]
    return top1 / len(test), top5 / len(test)


@pytest.mark.parametrize("splits", [True, False])
def test_knn_equals_the_naive_loop(
    tmp_path: Path, encoder: Path, splits: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = labelled_store(tmp_path, encoder, random_entries(splits))
    ids, x, y = store.features()
    of = {row["id"]: row["split"] for row in store.sql("SELECT id, split FROM items").to_pylist()}
    split = [of[i] for i in ids.tolist()]
    for block in (15, 65_536):
        monkeypatch.setattr("featurestore.ann.exact.BLOCK", block)
        report = store.knn(k=(1, 2, 5, 20), temperature=0.07)
        assert report.split == ("train->test" if splits else "leave-one-out")
        assert (report.n_train, report.n_test) == ((26, 14) if splits else (40, 40))
        for result in report.results:
            expected = naive_knn(x, y.tolist(), split, result.k, 0.07)
            assert (result.top1, result.top5) == pytest.approx(expected)
        assert 0.3 < report.results[0].top1 < 1  # the case is neither hopeless nor trivial
    assert sum(c.n for c in report.classes) == report.n_test


def test_leave_one_out_leaves_out_itself_and_not_its_copy(tmp_path: Path, encoder: Path) -> None:
    store = labelled_store(tmp_path, encoder, [("a", (250, 5, 5)), ("b", (250, 5, 5)), ("a", (5, 250, 5)), ("a", (5, 250, 5)), ("a", (5, 250, 5))])  # fmt: skip
    report = store.knn(k=1)
    assert report.results[0].top1 == pytest.approx(3 / 5)  # the first two take each other's label
    assert report.to_json()["results"][0]["k"] == 1


def test_knn_by_hand(tmp_path: Path, encoder: Path) -> None:
    entries = [("train/warm", (255, 0, 0)), ("train/warm", (255, 30, 0)), ("train/cold", (0, 0, 255)),
               ("test/warm", (255, 60, 0)), ("test/cold", (0, 60, 255)), ("test/cold", (255, 0, 40))]  # fmt: skip
    report = labelled_store(tmp_path, encoder, entries).knn(k=1)
    assert report.results[0].top1 == pytest.approx(2 / 3)
    assert {c.label: (c.n, c.recall, c.precision) for c in report.classes} == {
        "cold": (2, 0.5, 1.0),
        "warm": (1, 1.0, 0.5),
    }
    assert report.confusion == Confusion(["cold", "warm"], [[1, 1], [0, 1]])
    assert (report.k, report.temperature, report.seed, report.unseen) == (1, 0.07, 0, [])


@pytest.mark.parametrize(("k", "reason"), [(6, "k = 6 is more than the 5"), ((1, 9), "k = 9 is more than the 5"), (0, "at least 1"), (-1, "at least 1"), ((), "at least 1")])  # fmt: skip
def test_a_k_that_cannot_be_is_refused(shared: FeatureStore, k: Any, reason: str) -> None:
    with pytest.raises(EvaluationError, match=reason):
        shared.knn(k=k)


def test_a_temperature_that_cannot_be_is_refused(shared: FeatureStore) -> None:
    with pytest.raises(EvaluationError, match="expected more than 0"):
        shared.knn(k=1, temperature=0)


def test_k_defaults_to_those_of_the_paper_that_fit(
    shared: FeatureStore, splits: FeatureStore, whole: FeatureStore
) -> None:
    def rows(results: list[KnnResult]) -> list[tuple[int, float]]:
        return [(r.k, r.temperature) for r in results]

    assert rows(shared.knn().results) == [(5, 0.07)]  # of six items
    assert rows(splits.knn().results) == [(10, 0.07), (20, 0.07), (100, 0.07)]
    assert rows(whole.knn().results) == [(10, 0.07), (20, 0.07), (100, 0.07), (200, 0.07), (200, 0.1)]
    assert rows(whole.knn(temperature=0.2).results) == [(10, 0.2), (20, 0.2), (100, 0.2), (200, 0.2)]
    assert rows(whole.knn(200).results) == [(200, 0.07)]
    at_another_temperature = whole.knn(200, temperature=0.1).results[0]
    assert whole.knn().results[-1] == at_another_temperature


def test_knn_says_all_that_is_needed_to_repeat_it(splits: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("featurestore.metrics.statistics.RESAMPLED", 3)  # so that other seeds give other ends
    report = splits.knn(k=(5, 10), seed=3)
    said = json.loads(json.dumps(report.to_json()))
    assert said.keys() == {
        "protocol", "encoder", "split", "temperature", "k", "n_train", "n_test", "seed", "results", "classes", "confusion", "unseen",
    }  # fmt: skip
    assert (said["protocol"], said["split"], said["k"], said["seed"], said["n_train"], said["n_test"]) == ("knn", "train->test", 5, 3, *SPLITS)  # fmt: skip
    assert [set(r) for r in said["results"]] == [{"k", "temperature", "top1", "top1_ci95", "top5"}] * 2
    low, high = said["results"][0]["top1_ci95"]
    assert low < said["results"][0]["top1"] < high
    assert report.results[0].top1_ci95 != splits.knn(k=5, seed=4).results[0].top1_ci95
    counts = np.array(said["confusion"]["counts"])
    assert counts.sum() == 80
    assert np.trace(counts) / 80 == pytest.approx(said["results"][0]["top1"])
    assert [c["n"] for c in said["classes"]] == counts.sum(axis=1).tolist()


def test_classes_that_nothing_else_has_are_named(tmp_path: Path, encoder: Path) -> None:
    train = [("train/a", (250, 5, 5)), ("train/b", (5, 250, 5)), ("train/gone", (5, 5, 250))]
    test = [("test/a", (250, 5, 5)), ("test/new", (5, 250, 5))]
    report = labelled_store(tmp_path / "splits", encoder, train + test).knn(k=1)
    assert report.unseen == ["new"]
    assert {c.label: c.recall for c in report.classes} == {"a": 1.0, "new": 0.0}
    alone = labelled_store(
        tmp_path / "whole", encoder, [(where[6:], colour) for where, colour in train[:2] * 2 + train[2:]]
    )
    assert alone.knn(k=1).unseen == ["gone"]
    assert alone.knn(k=1).results[0].top1 == pytest.approx(4 / 5)


# -- linear


def test_linear_by_splits_is_the_protocol_step_by_step(splits: FeatureStore) -> None:
    (x, labels), (asked, truth) = arrays(splits, "train"), arrays(splits, "test")
    report = splits.linear(grid=6, seed=2)
    tried = linear.choose(x, labels, linear.grid(6), seed=2)
    assert report.results == tried
    assert report.c == linear.best(tried)
    model = LogisticRegression(C=report.c, max_iter=1000).fit(x, labels)
    assert report.top1 == pytest.approx(model.score(asked, truth))
    assert report.top1_ci95[0] < report.top1 < report.top1_ci95[1]
    assert (report.split, report.n_train, report.n_test, report.seed) == ("train->test", *SPLITS, 2)
    assert sum(c.n * (c.recall or 0) for c in report.classes) == pytest.approx(report.top1 * 80)
    assert 0.5 < report.top1 < 1
    said = json.loads(json.dumps(report.to_json()))
    assert said.keys() == {
        "protocol", "encoder", "split", "n_train", "n_test", "seed", "results", "c", "top1", "top1_ci95", "classes", "unseen",
    }  # fmt: skip
    assert [set(r) for r in said["results"]] == [{"c", "top1"}] * 6


def test_linear_without_splits_cross_validates(whole: FeatureStore) -> None:
    x, labels = arrays(whole)
    report = whole.linear(grid=2)
    fold = folds(labels, 5)
    said = np.empty(240, int)
    for f in range(5):
        c = linear.best(linear.choose(x[fold != f], labels[fold != f], linear.grid(2)))
        said[fold == f] = linear.classify(x[fold != f], labels[fold != f], x[fold == f], c)
    assert report.top1 == pytest.approx((said == labels).mean())
    assert (report.split, report.n_train, report.n_test) == ("cross-validation", *WHOLE)
    assert report.c == pytest.approx(1e5)


def test_linear_with_one_class_to_learn_from_is_refused(tmp_path: Path, encoder: Path) -> None:
    entries = [("train/a", (250, 5, 5)), ("train/a", (240, 5, 5)), ("test/b", (5, 250, 5))]
    with pytest.raises(EvaluationError, match="the 2 labels to learn from are of one class only"):
        labelled_store(tmp_path, encoder, entries).linear()


# -- few labels


def test_lowshot_by_splits_names_test_by_draws_of_train(splits: FeatureStore) -> None:
    (x, labels), test = arrays(splits, "train"), arrays(splits, "test")
    report = splits.lowshot(shots=[2], fractions=[0.1], tries=3, methods=["ridge", "nearest-mean"], seed=7)
    drawn = list(lowshot.draws(labels, 2, 3, seed=7))
    expected = lowshot.accuracies(x, labels, drawn, ["ridge", "nearest-mean"], test)
    share = list(lowshot.fraction_draws(labels, 0.1, 3, seed=7))
    by_share = lowshot.accuracies(x, labels, share, ["ridge", "nearest-mean"], test)
    assert report.results == [*lowshot.summary(expected, 6, 2), *lowshot.summary(by_share, len(share[0]), None, 0.1)]
    assert (report.split, report.n_train, report.n_test, report.seed) == ("train->test", *SPLITS, 7)
    said = json.loads(json.dumps(report.to_json()))
    assert said.keys() == {"protocol", "encoder", "split", "n_train", "n_test", "seed", "settings", "results"}
    assert said["settings"] == {"ridge": {"alpha": fewlabels.ALPHA}}
    assert [set(r) for r in said["results"]] == [
        {amount, "method", "top1_mean", "top1_ci95", "tries", "labels"}
        for amount in ("shots", "shots", "fraction", "fraction")
    ]


def test_lowshot_without_splits_names_what_was_not_drawn(whole: FeatureStore) -> None:
    x, labels = arrays(whole)
    report = whole.lowshot(shots=[3], tries=2, methods=["nearest-mean"])
    [expected] = lowshot.summary(
        lowshot.accuracies(x, labels, list(lowshot.draws(labels, 3, 2)), ["nearest-mean"]), 9, 3
    )
    assert report.results == [expected]
    assert (report.split, report.n_test) == ("drawn->rest", 240)


def test_lowshot_defaults_to_what_every_class_has(whole: FeatureStore, shared: FeatureStore) -> None:
    report = whole.lowshot(tries=2, methods=["nearest-mean"])
    assert [r.shots or r.fraction for r in report.results] == [1, 2, 5, 10, 0.01, 0.1]
    assert [r.labels for r in report.results] == [3, 6, 15, 30, 3, 23]  # of 240, each class rounded
    assert {r.shots for r in shared.lowshot(tries=2, methods=["knn"]).results} == {1, None}  # one class has one item
    assert {r.method for r in whole.lowshot(shots=[1], tries=2).results} == {"nearest-mean", "knn", "logistic", "ridge"}


def test_more_labels_than_a_class_has_are_refused_by_name(shared: FeatureStore) -> None:
    with pytest.raises(EvaluationError, match=r"shots = 3: expected between 1 and 1.*\(mixed has 2, plain has 1\)"):
        shared.lowshot(shots=[3])


def test_methods_and_tries_that_cannot_be_are_refused(shared: FeatureStore) -> None:
    with pytest.raises(EvaluationError, match="method magic: expected some of nearest-mean, knn"):
        shared.lowshot(methods=["knn", "magic"])
    with pytest.raises(EvaluationError, match="method none"):
        shared.lowshot(methods=[])
    with pytest.raises(EvaluationError, match="tries = 1: expected at least 2"):
        shared.lowshot(tries=1)


def test_episodes_take_shots_of_train_and_queries_of_test(splits: FeatureStore, whole: FeatureStore) -> None:
    (x, labels), test = arrays(splits, "train"), arrays(splits, "test")
    report = splits.episodes(way=2, shots=[1, 4], queries=5, count=8, seed=1)
    assert report.results == [episodes.evaluate(x, labels, 2, n, 5, 8, test, seed=1) for n in (1, 4)]
    assert (report.split, report.n_train, report.n_test) == ("train->test", *SPLITS)
    alone = whole.episodes(way=3, shots=[2], queries=5, count=8)
    assert alone.results == [episodes.evaluate(*arrays(whole), 3, 2, 5, 8)]
    assert alone.to_json()["protocol"] == "episodes"
    with pytest.raises(EvaluationError, match="way = 4: expected so many classes"):
        whole.episodes(way=4)
    with pytest.raises(EvaluationError, match="class0 has"):
        whole.episodes(way=2, shots=[200])


# -- retrieval


def test_retrieval_by_splits_and_without(splits: FeatureStore, whole: FeatureStore) -> None:
    (x, labels), (asked, truth) = arrays(splits, "train"), arrays(splits, "test")
    report = splits.retrieval()
    assert report.result == retrieval.evaluate(asked, x, truth, labels)
    assert (report.split, report.n_train, report.n_test) == ("train->test", *SPLITS)
    x, labels = arrays(whole)
    alone = whole.retrieval(k=[3])
    assert alone.result == retrieval.evaluate(x, x, labels, labels, np.arange(240), [3])
    said = json.loads(json.dumps(alone.to_json()))
    assert said.keys() == {"protocol", "encoder", "split", "n_train", "n_test", "results", "queries_without_match"}
    assert said["results"].keys() == {"map", "recall@3", "precision@3"}
    assert (said["split"], said["queries_without_match"]) == ("leave-one-out", 0)


def test_retrieval_counts_what_has_no_match(shared: FeatureStore) -> None:
    report = shared.retrieval()
    assert report.result.queries_without_match == 1  # the one plain picture
    assert list(report.result.recall) == [1, 5]
    with pytest.raises(EvaluationError, match="k = 6: expected between 1 and 5"):
        shared.retrieval(k=[6])


# -- what all refuse

MEASURES: dict[str, Callable[[FeatureStore], Any]] = {
    "knn": lambda store: store.knn(k=1),
    "linear": lambda store: store.linear(),
    "lowshot": lambda store: store.lowshot(),
    "episodes": lambda store: store.episodes(),
    "retrieval": lambda store: store.retrieval(),
}


@pytest.fixture(scope="module")
def unlabelled(tmp_path_factory: pytest.TempPathFactory, encoder: Path) -> FeatureStore:
    return labelled_store(tmp_path_factory.mktemp("unlabelled"), encoder, [(".", (1, 2, 3)), (".", (3, 2, 1))])


@pytest.fixture(scope="module")
def roses(tmp_path_factory: pytest.TempPathFactory, encoder: Path) -> FeatureStore:
    return labelled_store(tmp_path_factory.mktemp("roses"), encoder, [("rose", (1, 2, 3)), ("rose", (3, 2, 1))])


@pytest.mark.parametrize("measure", MEASURES)
def test_a_store_without_labels_is_refused(unlabelled: FeatureStore, measure: str) -> None:
    with pytest.raises(EvaluationError, match="this needs labels, the store has none: index with --labels folders"):
        MEASURES[measure](unlabelled)


@pytest.mark.parametrize("measure", MEASURES)
def test_a_single_class_is_refused(roses: FeatureStore, measure: str) -> None:
    with pytest.raises(EvaluationError, match="all 2 labelled images are of one class, 'rose'"):
        MEASURES[measure](roses)


@pytest.mark.parametrize("measure", MEASURES)
def test_a_vector_that_is_no_number_is_refused(store: FeatureStore, measure: str) -> None:
    [file] = (store.path / "vectors").iterdir()
    vectors = np.fromfile(file, np.float16).reshape(-1, 12)
    vectors[3, 5] = np.nan
    file.write_bytes(vectors.tobytes())
    with pytest.raises(EvaluationError, match=r"the vector in row 3 .* featurestore verify STORE"):
        MEASURES[measure](store)


@pytest.mark.parametrize("measure", ["linear", "lowshot"])
def test_scikit_learn_is_asked_for_where_it_is_needed(
    shared: FeatureStore, measure: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"needs sklearn.*pip install 'featurestore\[eval\]'"):
        MEASURES[measure](shared)
    assert shared.lowshot(tries=2, methods=["nearest-mean", "knn"]).results
