"""Items with several labels: from a source to the catalog, in searches, through changes, undo, export and import."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from featurestore import FeatureStore
from featurestore.system.spool import Spool
from tests.featurestore.fakes import COLOURS, paint

LISTS = [["warm", "red"], ["cold", "warm", "cold"], ["cold"], None]


def write_source(folder: Path, lists: list[Any]) -> Path:
    images = [paint(folder / f"{name}.png", COLOURS[name]).read_bytes() for name in ("red", "yellow", "green", "cyan")]
    pq.write_table(pa.table({"image": images, "label": lists}), folder / "images.parquet")
    return folder / "images.parquet"


def labels(store: FeatureStore) -> list[tuple[Any, ...]]:
    rows = store.sql("SELECT label, labels, label_source FROM items ORDER BY id").to_pylist()
    return [tuple(row.values()) for row in rows]


FROM_LISTS = [
    (None, ["red", "warm"], "folder"), (None, ["cold", "warm"], "folder"), ("cold", None, "folder"), (None, None, None),
]  # fmt: skip


@pytest.fixture
def several(tmp_path: Path, encoder: Path) -> FeatureStore:
    store = FeatureStore.open(tmp_path / "several.store", encoder)
    report = store.index(write_source(tmp_path / "source", LISTS), labels="folders")
    assert (report.added, report.labels_set) == (4, 3)
    return store


def given(*rows: tuple[int, list[str] | None]) -> Spool:
    spool = Spool(pa.schema([("id", pa.int64()), ("value0", pa.list_(pa.string()))]))
    for row in rows:
        spool.add(row)
    return spool


def test_a_list_is_several_labels_and_one_is_a_label(several: FeatureStore) -> None:
    assert labels(several) == FROM_LISTS
    found = several.info()
    assert (found["labelled"], found["several_labels"], found["labels"]) == (3, 2, {"cold": 2, "red": 1, "warm": 2})


def test_searches_filter_by_one_of_several_and_show_all(several: FeatureStore, run: Any) -> None:
    hits = several.search(1, where="list_contains(labels, 'cold')")
    assert [(hit["id"], hit["label"], hit["labels"]) for hit in hits.to_json()] == [(2, None, ["cold", "warm"])]
    assert hits.to_arrow()["labels"].to_pylist() == [["cold", "warm"]]
    _, out, _ = run("search", several.path, "id:1", "-k", "1")
    assert "cold, warm" in out
    assert "3 labelled (2 of them with several labels)" in run("info", several.path)[1]


def test_indexing_again_changes_only_what_is_another_list(several: FeatureStore, tmp_path: Path) -> None:
    lists = [["red", "warm"], ["cold"], ["cold", "green"], ["cyan", "cold"]]
    source = write_source(tmp_path / "source", lists)
    report = several.index(source, labels="folders")
    assert (report.unchanged, report.labels_set, report.labels_changed) == (4, 1, 2)
    assert [row[:2] for row in labels(several)] == [
        (None, ["red", "warm"]), ("cold", None), (None, ["cold", "green"]), (None, ["cold", "cyan"]),
    ]  # fmt: skip
    assert several.undo_labels().items == 3
    assert labels(several) == FROM_LISTS


def test_a_file_sets_clears_and_undoes_several(several: FeatureStore) -> None:
    counts = several.catalog.labels.set_from_file(
        given((1, ["red"]), (3, ["b", "a", "b"]), (4, None)), ("labels",), "label l.parquet", clear=False
    )
    assert (counts.set, counts.changed, counts.removed, counts.empty) == (0, 2, 0, 1)
    assert labels(several)[::2] == [("red", None, "file"), (None, ["a", "b"], "file")]
    counts = several.catalog.labels.set_from_file(given((2, None), (3, [])), ("labels",), "label", clear=True)
    assert (counts.removed, labels(several)[1:3]) == (2, [(None, None, "file")] * 2)
    several.undo_labels()
    several.undo_labels()
    assert labels(several) == FROM_LISTS


def test_folders_do_not_replace_several_labels_of_a_file(several: FeatureStore, tmp_path: Path) -> None:
    several.catalog.labels.set_from_file(given((3, ["a", "b"])), ("labels",), "label", clear=False)
    report = several.index(tmp_path / "source" / "images.parquet", labels="folders")
    assert (report.labels_changed, report.labels_kept) == (0, 1)
    assert labels(several)[2] == (None, ["a", "b"], "file")


def test_they_go_out_and_come_in(several: FeatureStore, encoder: Path, tmp_path: Path) -> None:
    several.export_vectors(tmp_path / "v.parquet")
    table = pq.read_table(tmp_path / "v.parquet")
    assert table["labels"].to_pylist() == [row[1] for row in FROM_LISTS]
    other = FeatureStore.open(tmp_path / "other.store", encoder)
    other.import_vectors(tmp_path / "v.parquet")
    assert [row[:2] for row in labels(other)] == [row[:2] for row in FROM_LISTS]
    older = tmp_path / "older.parquet"
    pq.write_table(table.drop_columns("labels"), older)  # as it was before there were several
    oldest = FeatureStore.open(tmp_path / "oldest.store", encoder)
    assert oldest.import_vectors(older).added == 4
    assert [row[:2] for row in labels(oldest)] == [(row[0], None) for row in FROM_LISTS]
