"""Which items a measure takes: `where`, twins across train and test, and what it notes about labels and splits."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featurestore import FeatureStore, compare
from featurestore.errors import EvaluationError, QueryError
from tests.featurestore.commands import Run
from tests.featurestore.evaluation.labelled import arrays, labelled_store
from tests.featurestore.fakes import Colour

RED, ORANGE, BLUE, GREEN = (250, 5, 5), (250, 90, 5), (5, 5, 250), (5, 250, 5)
COPIED: list[tuple[str, Colour]] = [
    ("train/warm", RED), ("train/warm", ORANGE), ("train/cold", BLUE), ("train/cold", GREEN), ("val/cold", (5, 90, 250)),
    ("test/cold", RED), ("test/warm", (250, 40, 5)), ("test/cold", (5, 40, 250)), ("test/warm", (9, 5, 200)),
]  # fmt: skip


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory, encoder: Path) -> FeatureStore:
    """One test image is an exact copy of a training image, with another label; another is labelled wrongly."""
    return labelled_store(tmp_path_factory.mktemp("copied"), encoder, COPIED)


# -- twins


def test_a_copy_in_train_is_counted_and_left_out_of_a_second_figure(copied: FeatureStore) -> None:
    report = copied.knn(1)
    assert (report.results[0].top1, report.twins.n) == (2 / 4, 1)  # the copy and the wrong label are wrong
    assert report.twins.top1_without == pytest.approx(2 / 3)
    assert (copied.linear(grid=2).twins.n, copied.retrieval([1]).twins, copied.lowshot([1], tries=2).twins) == (1, 1, 1)
    found = copied.train_classifier("kind")
    assert found.test is not None
    assert (found.twins.n, found.test.twins.n) == (0, 1)


def test_retrieval_without_twins_is_that_of_the_other_queries(copied: FeatureStore) -> None:
    report = copied.retrieval([1])
    (bank, known), (asked, truth) = arrays(copied, "train"), arrays(copied, "test")
    copies = (asked[:, None] == bank).all(axis=2).any(axis=1)
    precisions = []
    for query, label in zip(asked[~copies], truth[~copies], strict=True):
        ranks = np.flatnonzero(known[np.argsort(-(bank @ query), kind="stable")] == label) + 1
        precisions.append(np.mean(np.arange(1, len(ranks) + 1) / ranks))
    assert report.without_twins is not None
    assert report.without_twins.map == pytest.approx(np.mean(precisions))


def test_without_splits_any_copy_counts(tmp_path: Path, encoder: Path) -> None:
    store = labelled_store(
        tmp_path, encoder, [("a", RED), ("a", RED), ("b", RED), ("a", ORANGE), ("b", BLUE), ("b", GREEN)]
    )
    report = store.knn(1)
    right = [True, True, False, True, False, False]  # green and blue are each as near to orange, which comes first
    assert report.twins.n == 3
    assert report.results[0].top1 == pytest.approx(np.mean(right))
    assert report.twins.top1_without == pytest.approx(np.mean(right[3:]))


def test_without_copies_there_is_no_second_figure(shared: FeatureStore, run: Run) -> None:
    report = shared.knn(1)
    assert (report.twins.n, report.twins.top1_without) == (0, None)
    assert "twins" not in run("knn", shared.path)[1]


# -- where


def test_where_chooses_the_items_and_is_said(copied: FeatureStore, run: Run) -> None:
    for words in (["knn", "-k", "1"], ["linear", "--grid", "2"], ["lowshot", "--shots", "1"], ["retrieval", "-k", "1"]):
        name, *options = words
        status, out, err = run(name, copied.path, *options, "--where", "label <> 'cold' OR bytes > 0")
        assert (status, err) == (0, "")
        assert "8 labelled items where label <> 'cold' OR bytes > 0" in out
    report = copied.knn(1, where="path NOT LIKE '%test/cold/005.png'")
    assert (report.n_test, report.twins.n, report.where) == (3, 0, "path NOT LIKE '%test/cold/005.png'")


@pytest.mark.parametrize("measure", ["knn", "linear", "lowshot", "retrieval", "episodes"])
def test_a_where_that_matches_nothing_says_what_is_there(copied: FeatureStore, measure: str) -> None:
    with pytest.raises(QueryError, match=r"0 of 9 items match; label: cold 5, warm 4"):
        getattr(copied, measure)(where="label = 'kold'")
    with pytest.raises(EvaluationError, match=r"all 4 labelled images where label = 'warm' are of one class, 'warm'"):
        getattr(copied, measure)(where="label = 'warm'")


# -- temperatures


def test_an_unusual_temperature_is_noted(shared: FeatureStore, run: Run) -> None:
    high = "temperature 7 is unusual, so all k votes weigh nearly the same; usual are 0.01 to 1"
    assert f"note: {high}" in run("knn", shared.path, "-k", "1", "--temperature", "7")[1]
    assert shared.knn(1, temperature=0.005).notes == [
        "temperature 0.005 is unusual, so nearly only the nearest item votes; usual are 0.01 to 1"
    ]
    assert shared.knn(1, temperature=1.0).notes == shared.knn(1, temperature=0.01).notes == []


# -- few labels of some classes


def test_lowshot_leaves_out_classes_with_too_few_labels_and_says_which(tmp_path: Path, encoder: Path, run: Run) -> None:
    entries: list[tuple[str, Colour]] = [
        *[(f"{split}/{name}", (r + n, g, 5 + n + 9 * (split == "test"))) for name, r, g in (("a", 200, 5), ("b", 5, 200)) for split in ("train", "test") for n in range(3)],
        ("train/rare", BLUE), ("test/rare", BLUE), ("test/new", (90, 90, 90)),
    ]  # fmt: skip
    store = labelled_store(tmp_path, encoder, entries)
    report = store.lowshot([2, 3], tries=2, methods=["nearest-mean"])
    assert (report.left_out, report.n_train, report.n_test, report.twins) == ({"new": 0, "rare": 1}, 6, 6, 0)
    assert [r.top1_mean for r in report.results] == [1.0, 1.0]
    out = run("lowshot", store.path, "--shots", "3")[1]
    assert "left out: 2 classes with too few labels to draw from (new 0, rare 1)" in out
    with pytest.raises(
        EvaluationError, match=r"shots = 4: expected between 1 and 3, which two classes have labels for"
    ):
        store.lowshot([4])


# -- notes


def notes(folder: Path, encoder: Path, *entries: tuple[str, Colour]) -> list[str]:
    return labelled_store(folder, encoder, list(entries)).knn(1).notes


def test_labels_that_differ_only_in_case_or_blanks_are_noted(tmp_path: Path, encoder: Path) -> None:
    found = notes(
        tmp_path, encoder, ("Rose", RED), ("rose", RED), ("tulip", BLUE), ("tulip  x", BLUE), ("tulip x", BLUE)
    )
    [note] = found
    assert (
        note
        == "labels that differ only in case or blanks count as different classes: 'Rose', 'rose'; 'tulip  x', 'tulip x'"
    )


def test_what_is_left_out_is_noted(copied: FeatureStore, tmp_path: Path, encoder: Path) -> None:
    assert copied.knn(1).notes == ["labelled items of neither train nor test, which are left out: 1"]
    found = notes(tmp_path, encoder, ("val/a", RED), ("val/b", BLUE), ("val/a", ORANGE), (".", GREEN), (".", GREEN))
    assert found == [
        "items without a label, which are left out: 2 of 5",
        "train and test do not both have labelled items (val 3), so all items are used whatever their split",
    ]


# -- small and strange stores


def test_two_items_that_are_the_same_image(tmp_path: Path, encoder: Path) -> None:
    store = labelled_store(tmp_path, encoder, [("a", RED), ("b", RED)])
    report = store.knn()
    assert (report.results[0].k, report.results[0].top1, report.unseen) == (1, 0.0, ["a", "b"])
    assert (report.twins.n, report.twins.top1_without) == (2, None)
    with pytest.raises(EvaluationError, match="no query has a match"):
        store.retrieval()
    assert store.neighbours().neighbours.tolist() == [[2], [1]]


def test_neighbours_takes_as_many_as_there_are_and_refuses_a_k_that_is_too_large(
    shared: FeatureStore, run: Run, tmp_path: Path
) -> None:
    status, out, _ = run("neighbours", shared.path, "--out", tmp_path / "n.parquet")
    assert (status, out) == (
        0,
        f"5 neighbours of each of 6 items written to {tmp_path}/n.parquet; there are no more, so not the 20 that are usual\n",
    )
    assert run("neighbours", shared.path, "--k", "6", "--out", tmp_path / "n.parquet")[0] == 1


@pytest.mark.parametrize("count", [1, 2])
def test_encoders_with_equal_names_are_told_apart(
    copied: FeatureStore, tmp_path: Path, encoder: Path, other_encoder: Path, count: int
) -> None:
    second = FeatureStore.open(tmp_path / "second.store", other_encoder if count == 2 else encoder)
    second.index(copied.path.parent / "source", labels="folders")
    if count == 2:
        second.rename_encoder(second.info()["encoders"][0]["name"], copied.info()["encoders"][0]["name"])
    found = compare(copied, second, k=1, linear=False)
    names: list[Any] = found.names()
    assert len(set(names)) == 2
    assert all(
        name.endswith(f"({row.encoder[:8]})") == (count == 2) for name, row in zip(names, found.rows, strict=True)
    )
    assert found.verdicts == [f"k-NN: 4 items are too few to tell {names[1]} from {names[0]}; it takes 6 or more"]
