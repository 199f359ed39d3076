"""k-NN accuracy: of neighbours in arrays, and of stores whose vectors are colours."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from featurestore import FeatureStore
from featurestore.errors import EvaluationError
from featurestore.evaluation.knn import KnnResult, knn_accuracies
from featurestore.metrics import ClassFigures, Confusion, wilson
from tests.featurestore.evaluation.labelled import SPLITS, WHOLE, labelled_store

# -- arrays


def test_the_sixth_class_is_not_among_the_top_five() -> None:
    scores = np.array([[0.9, 0.8, 0.7, 0.6, 0.5, 0.4]])
    for truth in range(6):
        [result], _ = knn_accuracies(scores, np.array([[0, 1, 2, 3, 4, 5]]), np.array([truth]), 6, [6], 0.07)
        assert (result.top1, result.top5) == (truth == 0, truth < 5)


@pytest.mark.parametrize(
    ("score", "ks", "temperature", "reason"),
    [
        *((0.0, ks, 0.07, "expected between 1 and 3") for ks in ([], [0], [-1], [4], [1, 4])),
        *((0.0, [1], temperature, "expected more than 0") for temperature in (0.0, -1.0, math.nan, math.inf)),
        (math.nan, [1], 0.07, "NaN or infinity"),
    ],
)
def test_bad_input_is_refused(score: float, ks: list[int], temperature: float, reason: str) -> None:
    with pytest.raises(EvaluationError, match=reason):
        knn_accuracies(np.full((1, 3), score), np.zeros((1, 3), int), np.zeros(1, int), 1, ks, temperature)


def test_the_interval_is_that_of_what_is_right() -> None:
    rng = np.random.default_rng(0)
    scores = -np.sort(-rng.uniform(-1, 1, (40, 5)), axis=1)
    neighbours, truth = rng.integers(0, 4, (2, 40, 5))
    [result], predicted = knn_accuracies(scores, neighbours, truth[:, 0], 4, [5], 0.07)
    assert result.top1_ci95 == wilson(predicted == truth[:, 0])
    assert result.top1_ci95[0] < result.top1 < result.top1_ci95[1]


# -- stores


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


@pytest.mark.parametrize("name", ["splits", "whole"])
def test_knn_equals_the_naive_loop(name: str, request: pytest.FixtureRequest) -> None:
    store: FeatureStore = request.getfixturevalue(name)
    ids, x, y = store.features()
    of = {row["id"]: row["split"] for row in store.sql("SELECT id, split FROM items").to_pylist()}
    report = store.knn(k=(1, 2, 5, 20), temperature=0.07)
    assert report.split == ("train->test" if name == "splits" else "leave-one-out")
    assert (report.n_train, report.n_test) == (SPLITS if name == "splits" else WHOLE)
    for result in report.results:
        expected = naive_knn(x, y.tolist(), [of[i] for i in ids.tolist()], result.k, 0.07)
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
    assert report.classes == [ClassFigures("cold", 2, 0.5, 1.0), ClassFigures("warm", 1, 1.0, 0.5)]
    assert report.confusion == Confusion(["cold", "warm"], [[1, 1], [0, 1]])
    assert (report.k, report.temperature, report.unseen) == (1, 0.07, [])


@pytest.mark.parametrize(("k", "reason"), [((1, 6), "k = 6 is more than the 5"), (0, "at least 1"), ((), "at least 1")])  # fmt: skip
def test_a_k_out_of_range_is_refused(shared: FeatureStore, k: Any, reason: str) -> None:
    with pytest.raises(EvaluationError, match=reason):
        shared.knn(k=k)


def test_k_defaults_to_those_of_the_paper_that_are_possible(
    shared: FeatureStore, splits: FeatureStore, whole: FeatureStore
) -> None:
    def rows(results: list[KnnResult]) -> list[tuple[int, float]]:
        return [(r.k, r.temperature) for r in results]

    assert rows(shared.knn().results) == [(5, 0.07)]  # of six items
    assert rows(splits.knn().results) == [(10, 0.07), (20, 0.07), (100, 0.07)]
    assert rows(whole.knn().results) == [(10, 0.07), (20, 0.07), (100, 0.07), (200, 0.07), (200, 0.1)]
    assert rows(whole.knn(temperature=0.2).results) == [(10, 0.2), (20, 0.2), (100, 0.2), (200, 0.2)]
    assert rows(whole.knn(200).results) == [(200, 0.07)]
    assert whole.knn().results[-1] == whole.knn(200, temperature=0.1).results[0]


def test_a_knn_report_has_all_that_is_needed_to_repeat_it(splits: FeatureStore) -> None:
    report = splits.knn(k=(5, 10))
    written = json.loads(json.dumps(report.to_json()))
    assert written.keys() == {
        "protocol", "encoder", "split", "temperature", "k", "n_train", "n_test", "results", "classes", "confusion", "unseen",
        "twins", "leaks", "several_labels", "where", "notes",
    }  # fmt: skip
    assert written["leaks"] is None  # near copies were not looked for
    facts = [written[key] for key in ("protocol", "split", "k", "n_train", "n_test")]
    assert facts == ["knn", "train->test", 5, *SPLITS]
    assert [set(r) for r in written["results"]] == [{"k", "temperature", "top1", "top1_ci95", "top5"}] * 2
    low, high = written["results"][0]["top1_ci95"]
    assert low < written["results"][0]["top1"] < high
    counts = np.array(written["confusion"]["counts"])
    assert np.trace(counts) / counts.sum() == pytest.approx(written["results"][0]["top1"])
    assert [c["n"] for c in written["classes"]] == counts.sum(axis=1).tolist()


def test_classes_that_no_other_item_has_are_listed(tmp_path: Path, encoder: Path) -> None:
    train = [("train/a", (250, 5, 5)), ("train/b", (5, 250, 5)), ("train/gone", (5, 5, 250))]
    test = [("test/a", (250, 5, 5)), ("test/new", (5, 250, 5))]
    report = labelled_store(tmp_path / "splits", encoder, train + test).knn(k=1)
    assert report.unseen == ["new"]
    assert {c.label: c.recall for c in report.classes} == {"a": 1.0, "new": 0.0}
    entries = [(where[6:], colour) for where, colour in train[:2] * 2 + train[2:]]
    alone = labelled_store(tmp_path / "whole", encoder, entries).knn(k=1)
    assert alone.unseen == ["gone"]
    assert alone.results[0].top1 == pytest.approx(4 / 5)
