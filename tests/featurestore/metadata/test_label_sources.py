"""Labels keep where they come from: folders never replace those of a file, nothing replaces a label with nothing, all can be undone."""

import shutil
from pathlib import Path
from typing import Any

import duckdb
import pytest

from featurestore import FeatureStore
from featurestore.errors import QueryError, SourceError
from tests.featurestore.fakes import paint


def labels(store: FeatureStore) -> dict[int, tuple[str | None, str | None]]:
    """Label and its source by item."""
    rows = store.sql("SELECT id, label, label_source FROM items ORDER BY id").to_pylist()
    return {row["id"]: (row["label"], row["label_source"]) for row in rows}


def splits(store: FeatureStore) -> dict[int, str | None]:
    return {row["id"]: row["split"] for row in store.sql("SELECT id, split FROM items ORDER BY id").to_pylist()}


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


FROM_FOLDERS = {
    1: ("mixed", "folder"), 2: ("mixed", "folder"), 3: ("plain", "folder"),
    4: ("primary", "folder"), 5: ("primary", "folder"), 6: ("primary", "folder"),
}  # fmt: skip


def test_folders_do_not_replace_labels_of_a_file(
    store: FeatureStore, encoder: Path, colours: Path, tmp_path: Path
) -> None:
    assert labels(store) == FROM_FOLDERS
    report = store.label(write(tmp_path / "l.csv", "id,label,split", "1,hot,test", "3,plain,"))
    assert (report.set, report.changed, report.removed, report.kept, report.splits) == (0, 1, 0, 0, 1)
    given = FROM_FOLDERS | {1: ("hot", "file"), 3: ("plain", "file")}
    assert labels(store) == given
    again = FeatureStore.open(store.path, encoder).index(colours, labels="folders")
    assert (again.unchanged, again.labels_set, again.labels_changed, again.labels_kept) == (6, 0, 0, 1)
    assert (labels(store), splits(store)[1]) == (given, "test")


@pytest.mark.parametrize("part", ["mixed", "primary", "plain"])
def test_indexing_a_part_of_the_source_takes_no_label_away(
    store: FeatureStore, encoder: Path, colours: Path, part: str
) -> None:
    """In the part itself, the images have no folder that could be their label."""
    with pytest.raises(SourceError, match="name the folder above the classes"):
        FeatureStore.open(store.path, encoder).index(colours / part, labels="folders")
    assert labels(store) == FROM_FOLDERS


def test_indexing_a_split_alone_takes_no_split_away(tmp_path: Path, encoder: Path, colours: Path) -> None:
    for split in ("train", "test"):
        shutil.copytree(colours, tmp_path / "s" / split)
    store = FeatureStore.open(tmp_path / "a.store", encoder)
    store.index(tmp_path / "s", labels="folders")
    before = splits(store)
    assert set(before.values()) == {"train", "test"}
    store.index(tmp_path / "s" / "train", labels="folders")
    assert splits(store) == before


def test_an_empty_value_removes_a_label_only_when_asked(store: FeatureStore, tmp_path: Path) -> None:
    table = write(tmp_path / "l.csv", "id,label", "1,", "2,warm")
    report = store.label(table)
    assert (report.removed, report.empty) == (0, 1)
    assert labels(store)[1] == ("mixed", "folder")
    report = store.label(table, clear=True)
    assert (report.removed, labels(store)[1]) == (1, (None, "file"))


def test_a_label_removed_by_a_file_does_not_come_back_from_folders(
    store: FeatureStore, encoder: Path, colours: Path, tmp_path: Path
) -> None:
    store.label(write(tmp_path / "l.csv", "id,label", "1,"), clear=True)
    report = FeatureStore.open(store.path, encoder).index(colours, labels="folders")
    assert (report.labels_kept, labels(store)[1]) == (1, (None, "file"))


def test_folders_replace_labels_of_folders_and_of_classifiers(
    store: FeatureStore, encoder: Path, colours: Path
) -> None:
    with duckdb.connect(str(store.layout.catalog)) as opened:
        opened.execute("UPDATE all_items SET label = 'guess', label_source = 'classifier' WHERE id = 1")
        opened.execute("UPDATE all_items SET label = 'old folder' WHERE id = 2")
        opened.execute("UPDATE all_items SET label = 'by hand', label_source = 'person' WHERE id = 3")
    report = FeatureStore.open(store.path, encoder).index(colours, labels="folders")
    assert (report.labels_set, report.labels_changed, report.labels_kept) == (0, 2, 1)
    assert labels(store) == FROM_FOLDERS | {3: ("by hand", "person")}


def test_a_file_does_not_replace_a_label_that_a_person_gave(store: FeatureStore, tmp_path: Path) -> None:
    with duckdb.connect(str(store.layout.catalog)) as opened:
        opened.execute("UPDATE all_items SET label = 'by hand', label_source = 'person' WHERE id = 3")
    report = store.label(write(tmp_path / "l.csv", "id,label", "3,other"))
    assert (report.changed, report.kept, labels(store)[3]) == (0, 1, ("by hand", "person"))


def test_changes_of_labels_are_undone_one_after_the_other(
    store: FeatureStore, encoder: Path, colours: Path, tmp_path: Path
) -> None:
    first = labels(store)
    store.label(write(tmp_path / "one.csv", "id,label,split", "1,warm,train", "6,warm,test"))
    second, second_splits = labels(store), splits(store)
    store.label(write(tmp_path / "two.csv", "id,label", "1,cold", "2,cold"))
    undone = store.undo_labels()
    assert (undone.command, undone.items) == ("label two.csv", 2)
    assert (labels(store), splits(store)) == (second, second_splits)
    assert store.undo_labels().command == "label one.csv"
    assert (labels(store), set(splits(store).values())) == (first, {None})
    with pytest.raises(QueryError, match="no change of labels is left to undo"):
        store.undo_labels()


def test_a_change_of_folders_is_undone(store: FeatureStore, encoder: Path, colours: Path) -> None:
    with duckdb.connect(str(store.layout.catalog)) as opened:
        opened.execute("UPDATE all_items SET label = NULL, label_source = NULL")
    report = FeatureStore.open(store.path, encoder).index(colours, labels="folders")
    assert (report.labels_set, labels(store)) == (6, FROM_FOLDERS)
    assert store.undo_labels().items == 6
    assert set(labels(store).values()) == {(None, None)}


def test_undo_says_that_labels_of_new_items_stay(run: Any, store: FeatureStore, tmp_path: Path) -> None:
    source = paint(tmp_path / "s" / "a" / "old.png", (9, 9, 1)).parents[1]
    run("index", store.path, source)
    paint(source / "b" / "new.png", (9, 9, 2))
    run("index", store.path, source, "--labels", "folders")
    out = run("label", store.path, "--undo")[1]
    assert out.endswith("1 item changed back; labels of items that were new in that run stay\n")
    assert (labels(store)[7], labels(store)[8]) == ((None, None), ("b", "folder"))


def test_undo_knows_nothing_of_deleted_items(store: FeatureStore, tmp_path: Path) -> None:
    store.label(write(tmp_path / "l.csv", "id,label", "1,warm", "2,warm"))
    store.delete("id = 1")
    assert store.undo_labels().items == 1
    assert labels(store)[2] == ("mixed", "folder")


def test_the_commands_say_what_happened_to_labels(
    run: Any, store_path: Path, encoder: Path, colours: Path, tmp_path: Path
) -> None:
    table = write(tmp_path / "l.csv", "id,label", "1,warm")
    assert run("label", store_path, table) == (0, "0 labels set, 1 changed, 0 kept\n", "")
    status, out, _ = run("index", store_path, colours, "--encoder", encoder, "--labels", "folders")
    assert (status, out.splitlines()[1]) == (0, "0 labels set, 0 changed, 1 kept")
    status, out, _ = run("label", store_path, "--undo")
    assert status == 0
    assert out.startswith("undone: label l.csv of ")
    for words in ([], [table, "--undo"], ["--undo", "--clear"]):
        assert run("label", store_path, *words)[0] == 2


def test_imported_labels_are_not_replaced_by_folders(
    store: FeatureStore, encoder: Path, colours: Path, tmp_path: Path
) -> None:
    store.label(write(tmp_path / "l.csv", "id,label", "1,by hand"))
    store.export_vectors(tmp_path / "v.parquet")
    other = FeatureStore.open(tmp_path / "other.store", encoder)
    other.import_vectors(tmp_path / "v.parquet")
    assert other.index(colours, labels="folders").labels_kept == 1
    assert "by hand" in {label for label, _ in labels(other).values()}


def test_a_list_of_a_file_gives_an_item_all_its_labels(store: FeatureStore, tmp_path: Path) -> None:
    lines = ['{"id": 1, "labels": ["warm", "cold", "warm"]}', '{"id": 2, "labels": ["hot"]}', '{"id": 3, "labels": []}']
    report = store.label(write(tmp_path / "l.jsonl", *lines))
    assert (report.changed, report.empty) == (2, 1)
    rows = store.sql("SELECT label, labels FROM items WHERE id < 4 ORDER BY id").to_pylist()
    assert [(row["label"], row["labels"]) for row in rows] == [(None, ["cold", "warm"]), ("hot", None), ("plain", None)]
