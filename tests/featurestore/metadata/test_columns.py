"""Columns of the user's own and labels: which items a file is about, by path and by id, and what becomes of the columns."""

import os
import signal
import time
from datetime import date
from pathlib import Path
from random import Random
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from featurestore import FeatureStore
from featurestore.catalog import columns, salvage
from featurestore.errors import ConfigError, QueryError, SourceError, StoreBusy
from featurestore.metadata.columns import read_columns
from featurestore.system.lock import writer_lock
from tests.featurestore.children import Child
from tests.featurestore.commands import Run, answer
from tests.featurestore.fakes import paint
from tests.featurestore.life import kill_after
from tests.featurestore.metadata.annotated import csv, parquet, said, taken, types

# the store of conftest.py: items 1 to 6 are mixed/cyan, mixed/yellow, plain/white, primary/blue, primary/green, primary/red


# -- which items


def test_paths_are_taken_in_every_spelling(
    store: FeatureStore, colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "tables").mkdir()
    (tmp_path / "linked").symlink_to(colours / "primary")
    monkeypatch.chdir(colours)
    spelled = [
        f"{colours}/mixed/cyan.png", f"{colours}/primary/../mixed/./yellow.png", "plain/white.png", "../linked/blue.png",
        f"{os.path.relpath(colours, tmp_path / 'tables')}/primary//green.png", f"{tmp_path}/linked/red.png",
    ]  # fmt: skip
    report = store.annotate(
        csv(tmp_path / "tables", "path,v\n" + "\n".join(f"{p},{n}" for n, p in enumerate(spelled, 1)))
    )
    assert (report.items, report.unknown) == (6, 0)
    assert said(store, "v") == {n: n for n in range(1, 7)}


def test_the_folder_of_the_file_comes_before_the_current_one(
    tmp_path: Path, encoder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for folder in ("beside", "here"):
        paint(tmp_path / folder / "a.png", (9, 9, 9))
    opened = FeatureStore.open(tmp_path / "my.store", encoder)
    opened.index(tmp_path / "beside", tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    opened.annotate(csv(tmp_path / "beside", "path,v\na.png,1\n"))
    assert opened.sql("SELECT path FROM items WHERE v = 1")["path"].to_pylist() == [f"{tmp_path}/beside/a.png"]


def test_images_in_containers_and_at_urls_are_items_too(
    tmp_path: Path, encoder: Path, colours: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import tarfile

    with tarfile.open(tmp_path / "shard.tar", "w") as archive:
        archive.add(colours / "primary", "odd//./p")
    opened = FeatureStore.open(tmp_path / "my.store", encoder)
    opened.index(tmp_path / "shard.tar")
    opened.index(f"file://{colours}/plain/white.png")
    paths = opened.sql("SELECT path FROM items ORDER BY id")["path"].to_pylist()
    members = [path.partition("::")[2] for path in paths[:3]]
    lines = [f"shard.tar::{members[0]},1", f"./shard.tar::{members[1]},2", f"{paths[2]},3", f"{paths[3]},4"]
    assert paths[3].startswith("file://")
    assert opened.annotate(csv(tmp_path, "path,v\n" + "\n".join(lines))).items == 4
    assert said(opened, "v") == {1: 1, 2: 2, 3: 3, 4: 4}


def test_the_last_row_about_an_item_counts(store: FeatureStore, colours: Path, tmp_path: Path) -> None:
    red = f"{colours}/primary/red.png"
    report = store.annotate(csv(tmp_path, f"path,v,w\n{red},1,a\n{colours}/primary/../primary/red.png,2,\n"))
    assert report.items == 1
    assert (said(store, "v"), said(store, "w")) == ({6: 2}, {})


def test_unknown_keys_are_counted_and_the_first_are_named(store: FeatureStore, colours: Path, tmp_path: Path) -> None:
    lines = "\n".join(f"nowhere{n % 25}.png,{n}" for n in range(100))
    report = store.annotate(
        csv(tmp_path, f"path,v\n,1\n{lines}\nmixed/cyan.png,1\n{colours.resolve()}/mixed/cyan.png,2\n")
    )
    assert (report.items, report.unknown, report.key) == (1, 26, "path")
    assert report.first_unknown == ("", *(f"nowhere{n}.png" for n in range(19)))
    store.catalog.changes.mark_removed(np.array([1]), [])  # as when its file has vanished
    report = store.annotate(csv(tmp_path, "id,v\n1,1\n2,2\n"))
    assert (report.items, report.first_unknown) == (1, ("1",))


def test_a_file_about_no_item_is_refused_and_changes_nothing(store: FeatureStore, tmp_path: Path) -> None:
    with pytest.raises(
        SourceError,
        match=r"none of its ids \(2 rows\) belongs to an item of the store; in the file: '70', '80'; .*SELECT id, path",
    ):
        store.annotate(csv(tmp_path, "id,v\n70,1\n80,2\n"))
    with pytest.raises(
        SourceError,
        match=r"none of its paths \(1 row\) belongs to an item of the store; in the file: 'x.png'; in the store: .*cyan.png', ",
    ):
        store.annotate(csv(tmp_path, "path,v\nx.png,1\n"))
    with pytest.raises(SourceError, match="expected rows below the names of its columns, found none"):
        store.annotate(csv(tmp_path, "path,v"))
    assert types(store) == {}


def test_the_key_can_be_named(tmp_path: Path) -> None:
    both = csv(tmp_path, "path,id,v\nx,1,5\n")
    with pytest.raises(
        SourceError, match="has a column path and a column id; choose with --key which one identifies the items"
    ):
        read_columns(both, None, {})
    for key, value in (("id", 1), ("path", "x")):
        given = read_columns(both, key, {})
        assert (given.key, given.names) == (key, ("v",))  # the other is passed over
        assert given.rows.reader().read_all()["key"].to_pylist() == [value]
    with pytest.raises(
        SourceError, match="expected a column id, which says which items the rows are about; found 'path', 'v'"
    ):
        read_columns(csv(tmp_path, "path,v\n1,x\n"), "id", {})
    with pytest.raises(ConfigError, match="key 'name': expected path or id"):
        read_columns(csv(tmp_path, "name,v\n1,x\n"), "name", {})


@pytest.mark.parametrize(
    ("name", "key", "reason"),
    [
        *(("id", pa.array([key]), "expected whole numbers, found") for key in ("one", 1.5, True, [1])),
        ("id", pa.array([2**64 - 1], pa.uint64()), "expected whole numbers, found"),
        ("path", pa.array([1]), "expected text, found int64"),
    ],
)
def test_keys_that_are_none_are_refused(tmp_path: Path, name: str, key: Any, reason: str) -> None:
    with pytest.raises(SourceError, match=f"column {name}: {reason}"):
        taken(parquet(tmp_path, **{name: key}, v=[1]))


@pytest.mark.parametrize("kind", [pa.int8(), pa.uint32(), pa.uint64(), pa.string()])
def test_ids_come_as_any_whole_number_or_as_text(tmp_path: Path, kind: pa.DataType) -> None:
    given = read_columns(parquet(tmp_path, id=pa.array(["5", None]).cast(kind), v=[1, 2]), None, {})
    assert given.rows.reader().read_all()["key"].to_pylist() == [5, None]


def test_a_file_that_is_no_table_is_refused(store: FeatureStore, tmp_path: Path) -> None:
    for content, reason in (
        (b"id,v\n1,2,3\n", "Expected 2 columns, got 3"),
        (b"id,v\n1\n", "Expected 2 columns, got 1"),
        (b"id,v\none,2\n", "one"),
        (b"\xff\xfei\0d", "UTF-8"),
        (b"PAR1 but no more", "found 'PAR1 but no more'"),
    ):
        (tmp_path / "table.csv").write_bytes(content)
        with pytest.raises(SourceError, match=reason):
            store.annotate(tmp_path / "table.csv")
        (tmp_path / "table.parquet").write_bytes(content)
        for path in (tmp_path / "table.parquet", tmp_path / "absent.parquet", tmp_path):
            with pytest.raises(SourceError, match=r"expected a .* file with the column path or id, and others; "):
                store.annotate(path)
    assert types(store) == {}


# -- what becomes of columns


def test_a_column_is_taken_away(store: FeatureStore, tmp_path: Path) -> None:
    store.annotate(csv(tmp_path, "id,a,b\n1,1,2\n"))
    store.drop_column("A")
    assert list(types(store)) == ["b"]
    assert said(store, "b") == {1: 2}
    for name in ("a", "width", "label", "removed_at", "x; DROP TABLE all_items"):
        with pytest.raises(QueryError, match="expected one that was added by annotate; the store has 'b'"):
            store.drop_column(name)
    with pytest.raises(QueryError):
        store.search(1, where="a = 1")


def test_columns_live_as_long_as_their_items(tmp_path: Path, encoder: Path, other_encoder: Path) -> None:
    for name in ("a", "b", "c"):
        paint(tmp_path / "photos" / f"{name}.png", (9, 9, ord(name)))
    path = tmp_path / "my.store"
    FeatureStore.open(path, encoder).index(tmp_path / "photos")
    FeatureStore.open(path).annotate(csv(tmp_path, "id,v\n1,10\n2,20\n3,30\n"))
    paint(tmp_path / "photos" / "a.png", (200, 0, 0))  # changed
    (tmp_path / "photos" / "b.png").rename(tmp_path / "b.png")  # vanished
    paint(tmp_path / "photos" / "d.png", (0, 200, 0))  # new
    FeatureStore.open(path, encoder).index(tmp_path / "photos")
    assert said(FeatureStore.open(path), "v") == {1: 10, 3: 30}
    (tmp_path / "b.png").rename(tmp_path / "photos" / "b.png")
    FeatureStore.open(path, encoder).index(tmp_path / "photos")
    FeatureStore.open(path, other_encoder).index(tmp_path / "photos")
    assert FeatureStore.open(path).optimize().kept == 8
    opened = FeatureStore.open(path)
    assert said(opened, "v") == {1: 10, 2: 20, 3: 30}
    assert opened.info()["items"] == 4
    assert not FeatureStore.verify(path).findings


def test_salvage_saves_columns_and_names_what_is_lost_of_them(
    store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.annotate(csv(tmp_path, 'id,"a ""b""",day\n1,1.5,2024-01-01\n2,2.5,2024-01-02\n'))
    before = types(store)
    assert store.catalog.repair.salvage(lambda: None) == {}
    assert types(store) == before
    assert said(store, "day") == {1: date(2024, 1, 1), 2: date(2024, 1, 2)}
    read = salvage._column
    monkeypatch.setattr(
        salvage,
        "_column",
        lambda old, table, column, first: None if column == "day" else read(old, table, column, first),
    )
    assert store.catalog.repair.salvage(lambda: None) == {"day in all_items": 6}
    assert (said(store, "day"), said(store, 'a "b"')) == ({}, {1: 1.5, 2: 2.5})


def test_damage_is_found_whatever_columns_are_called(store: FeatureStore, tmp_path: Path) -> None:
    store.annotate(csv(tmp_path, "id,t,note\n" + "".join(f"{n},1,uncommonword{n}\n" for n in range(1, 7))))
    store.optimize()
    path = store.path / "catalog.duckdb"
    path.write_bytes(path.read_bytes().replace(b"uncommonword", b"anotherwords"))
    [finding] = FeatureStore.verify(store.path).findings
    assert (finding.place, finding.damage) == ("catalog.duckdb", True)


def annotate_and_die(pipe: Any, store: Path) -> None:
    """Commit a column with values, and die before it is moved from the log into the file."""
    connection = duckdb.connect(str(store / "catalog.duckdb"))
    connection.begin()
    columns.add_columns(connection, pa.schema([("v", pa.int64())]))
    columns.set_values(connection, ["v"], pa.table({"id": [1, 2], "value0": [10, 20]}))
    connection.commit()
    os.kill(os.getpid(), signal.SIGKILL)


def test_columns_in_a_log_that_a_crash_left_are_read(store_path: Path, tmp_path: Path) -> None:
    with Child(annotate_and_die, store_path) as child:
        child.wait()
    assert (store_path / "catalog.duckdb.wal").stat().st_size
    opened = FeatureStore.open(store_path)
    assert said(opened, "v") == {1: 10, 2: 20}
    opened.annotate(csv(tmp_path, "id,v\n3,30\n"))
    assert said(opened, "v") == {1: 10, 2: 20, 3: 30}


def annotate_anew(pipe: Any, store: Path, file: Path) -> None:
    pipe.send("begin")
    FeatureStore.open(store).annotate(file)
    pipe.send("end")


@pytest.mark.slow
def test_annotating_that_is_killed_is_done_whole_or_not_at_all(store_path: Path, tmp_path: Path) -> None:
    """Values of several columns change together, whenever the process dies; a new column comes with its values."""
    first = csv(tmp_path, "id,v\n" + "".join(f"{n},0\n" for n in range(1, 7)), "first.csv")
    with Child(annotate_anew, store_path, first) as child:
        assert child.hear() == "begin"
        began = time.monotonic()
        assert child.hear() == "end"
        seconds = time.monotonic() - began
    random, killed, new = Random(7), 0, 0
    for turn in range(1, 25):
        lines = "".join(f"{n},{turn},{turn}\n" for n in range(1, 7))
        file = csv(tmp_path, f"id,v,w{turn}\n{lines}")
        with Child(annotate_anew, store_path, file) as child:
            assert child.hear() == "begin"
            killed += kill_after(child, random.uniform(0, 1.5 * seconds))
        opened = FeatureStore.open(store_path)
        assert not FeatureStore.verify(store_path).findings
        values = set(said(opened, "v").values())
        assert len(values) == 1
        done = values == {turn}
        new += done
        assert (f"w{turn}" in types(opened)) is done
        assert not done or said(opened, f"w{turn}") == dict.fromkeys(range(1, 7), turn)
    assert killed >= 3
    assert new >= 1


def test_annotating_waits_for_the_writer(store: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("featurestore.system.lock.WAIT_SECONDS", 0.05)
    with writer_lock(store.path), pytest.raises(StoreBusy):
        store.annotate(csv(tmp_path, "id,v\n1,1\n"))


def test_a_filter_sees_a_new_column_at_once(store: FeatureStore, tmp_path: Path) -> None:
    other = FeatureStore.open(store.path)
    store.annotate(csv(tmp_path, "id,v\n1,1\n2,2\n"))
    assert other.search(6, where="v = 1").ids.tolist() == [1]
    store.annotate(csv(tmp_path, "id,v\n2,1\n"))
    assert sorted(other.search(6, where="v = 1").ids.tolist()) == [1, 2]


# -- labels


def test_labels_come_by_id_and_from_parquet(store: FeatureStore, colours: Path, tmp_path: Path) -> None:
    report = store.label(csv(tmp_path, "id,label,note\n1,007,x\n2,,y\n70,z,z\n"), clear=True)
    assert (report.labelled, report.unknown, report.key) == (2, ("70",), "id")
    store.label(
        parquet(
            tmp_path,
            path=[f"{colours}/primary/{c}.png" for c in ("red", "blue")],
            label=[3.0, None],
            split=["train", None],
        ),
        clear=True,
    )
    store.label(parquet(tmp_path, id=[5], label=pa.array(["leaf"]).dictionary_encode()))
    store.label(parquet(tmp_path, id=[3], label=[""]), clear=True)  # an empty text is no label
    assert said(store, "label") == {1: "007", 5: "leaf", 6: "3"}
    assert said(store, "split") == {6: "train"}
    with pytest.raises(SourceError, match="expected a Parquet file of labels with the columns path,label"):
        store.label(parquet(tmp_path, id=[5], label=[{"a": 1}]))


def test_the_key_of_labels_can_be_named(store: FeatureStore, colours: Path, tmp_path: Path) -> None:
    table = csv(tmp_path, f"id,path,label\n1,{colours}/primary/red.png,x\n")
    store.label(table)
    store.label(table, key="id")
    assert {item for item, label in said(store, "label").items() if label == "x"} == {1, 6}
    with pytest.raises(SourceError, match=r"columns id,label and perhaps split; found 'path', 'label'; "):
        store.label(csv(tmp_path, "path,label\nx,y\n"), key="id")


# -- the command


def test_the_command_says_what_it_did(run: Run, store_path: Path, tmp_path: Path) -> None:
    table = csv(tmp_path, "id,v,w\n1,1,a\n70,2,b\n80,2,b\n")
    assert run("annotate", store_path, table) == (
        0,
        "1 item annotated: v, w\n",
        "2 ids without an item in the store: '70', '80'\n",
    )
    assert answer(run, "annotate", store_path, table, "--key", "id") == {
        "columns": ["v", "w"], "items": 1, "unknown": 2, "first_unknown": ["70", "80"], "key": "id", "notes": [],
    }  # fmt: skip
    assert answer(run, "search", store_path, "--id", "6", "--where", "w = 'a'")[0]["id"] == 1
    assert answer(run, "info", store_path)["columns"] == {"v": "int64", "w": "string"}
    assert run("annotate", store_path, "--drop", "v") == (0, "dropped v\n", "")
    assert answer(run, "annotate", store_path, "--drop", "w") == {"dropped": ["w"]}


def test_wrong_uses_of_the_command(run: Run, store_path: Path, tmp_path: Path) -> None:
    table = csv(tmp_path, "id,v\n1,1\n")
    for arguments in ([], [table, "--drop", "v"], ["--drop", "v", "--key", "id"], [table, "--key", "name"]):
        assert run("annotate", store_path, *arguments)[0] == 2
    status, _, err = run("annotate", store_path, "--drop", "v")
    assert (status, err.count("\n")) == (1, 1)
    assert "the store has none" in err


def test_a_column_with_the_name_of_a_column_of_ours_elsewhere_harms_nothing(
    store: FeatureStore, tmp_path: Path
) -> None:
    """`row` is a column of the vectors; the report and the export read both."""
    (tmp_path / "rows.csv").write_text("id,row,vector_row\n1,7,x\n2,8,y\n")
    store.annotate(tmp_path / "rows.csv")
    store.report()
    store.export_vectors(tmp_path / "v.parquet")
    assert pq.read_table(tmp_path / "v.parquet")["row"].to_pylist()[:3] == [7, 8, None]
