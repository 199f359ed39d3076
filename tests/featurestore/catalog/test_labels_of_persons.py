"""Labels that persons give: they count more than all others, say who and when, and each change can be undone by itself."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from featurestore import FeatureStore
from featurestore.catalog.labels import GivenLabels, LabelledByPerson
from tests.featurestore.fakes import paint

NOON = datetime(2026, 12, 1, 12, 0, 0)
ROWS = pa.schema([("id", pa.int64()), ("names", pa.list_(pa.string()))])


@pytest.fixture
def store(tmp_path: Path, encoder: Path) -> FeatureStore:
    """Three items, with the label of their folder."""
    for n in range(3):
        paint(tmp_path / "pictures" / "rose" / f"{n}.png", (40 * n, 90, 220))
    store = FeatureStore.open(tmp_path / "own.store", encoder)
    store.index(tmp_path / "pictures", labels="folders")
    return store


def given(names: Mapping[int, Sequence[str]], by: str | None = "ada", at: datetime = NOON) -> GivenLabels:
    return GivenLabels(pa.table([list(names), list(names.values())], schema=ROWS), by, at, "serve")


def labels_of(store: FeatureStore) -> list[tuple[Any, ...]]:
    found = store.sql("SELECT label, labels, label_source, labelled_by FROM items ORDER BY id")
    return [tuple(row.values()) for row in found.to_pylist()]


FOLDER = ("rose", None, "folder", None)


def test_one_several_and_no_labels(store: FeatureStore) -> None:
    labels = given({1: ["lily"], 2: ["b", "a", "b"], 3: [], 99: ["gone"], 98: []})
    assert store.catalog.labels.set_by_person([labels]) == [LabelledByPerson(1, 3, (98, 99))]
    assert labels_of(store) == [
        ("lily", None, "person", "ada"),
        (None, ["a", "b"], "person", "ada"),
        (None, None, "person", "ada"),
    ]
    assert store.sql("SELECT DISTINCT labelled_at FROM items")["labelled_at"].to_pylist() == [NOON]


def test_they_stay_when_folders_or_files_say_otherwise(store: FeatureStore, tmp_path: Path) -> None:
    store.catalog.labels.set_by_person([given({1: ["lily"], 2: []})])
    (tmp_path / "labels.csv").write_text("id,label\n1,tulip\n2,tulip\n3,tulip\n")
    assert store.label(tmp_path / "labels.csv").kept == 2
    store.index(tmp_path / "pictures", labels="folders")
    assert [label for label, *_ in labels_of(store)] == ["lily", None, "tulip"]


def test_each_change_is_undone_by_itself(store: FeatureStore) -> None:
    changes = store.catalog.labels.set_by_person(
        [given({1: ["a"], 2: ["a"]}), given({1: ["b"]}, by=None), given({3: ["c"]})]
    )
    first, second, third = [change.change for change in changes]
    assert (first, second, third) == (1, 2, 3)
    assert [(c.change, c.command, c.items) for c in store.catalog.labels.changes(2)] == [
        (3, "serve", 1),
        (2, "serve", 1),
    ]
    undone = store.catalog.labels.undo(first)
    assert undone is not None
    assert (undone.command, undone.items) == ("serve", 2)
    assert labels_of(store) == [("b", None, "person", None), FOLDER, ("c", None, "person", "ada")]
    assert store.catalog.labels.undo(first) is None
    store.catalog.labels.undo(second)
    assert labels_of(store) == [FOLDER, FOLDER, ("c", None, "person", "ada")]
    store.catalog.labels.undo()
    assert labels_of(store) == [FOLDER] * 3
    assert store.catalog.labels.undo() is None


def test_what_changes_nothing_is_no_change(store: FeatureStore) -> None:
    """Else the next change would have the same number, and undoing one would undo the other."""
    written = store.catalog.labels.set_by_person([given({1: ["a"]}), given({1: ["a"]}, by="eve"), given({2: ["b"]})])
    assert written == [LabelledByPerson(1, 1, ()), LabelledByPerson(None, 0, ()), LabelledByPerson(2, 1, ())]
    assert [by for *_, by in labels_of(store)] == ["ada", "ada", None]


def test_items_whose_files_are_gone_keep_what_they_have(store: FeatureStore, tmp_path: Path) -> None:
    (tmp_path / "pictures" / "rose" / "0.png").unlink()
    store.index(tmp_path / "pictures", labels="folders")
    assert store.catalog.labels.set_by_person([given({1: ["lily"]})]) == [LabelledByPerson(None, 0, (1,))]


def test_undoing_the_last_first_is_the_same(store: FeatureStore) -> None:
    store.catalog.labels.set_by_person([given({1: [name]}) for name in "abcd"])
    for wanted in ("c", "b", "a"):
        store.catalog.labels.undo()
        assert labels_of(store)[0] == (wanted, None, "person", "ada")
    store.catalog.labels.undo()
    assert labels_of(store)[0] == FOLDER


def test_labels_of_files_and_folders_say_when(store: FeatureStore, tmp_path: Path) -> None:
    assert store.sql("SELECT count(labelled_at) AS n FROM items")["n"].to_pylist() == [3]
    (tmp_path / "labels.csv").write_text("id,label\n1,tulip\n")
    store.label(tmp_path / "labels.csv")
    [later] = store.sql(
        "SELECT labelled_at > (SELECT labelled_at FROM items WHERE id = 2) AS later FROM items WHERE id = 1"
    )["later"].to_pylist()
    assert later
