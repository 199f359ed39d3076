"""The catalog: expressions and SQL of users, several processes, files that are something else."""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import numpy as np
import pytest

from featurestore import FeatureStore, catalog
from featurestore.catalog import Catalog, ItemChange, check_expression
from featurestore.errors import DiskError, QueryError, StoreBusy, StoreCorrupt, StoreError, StoreNotFound
from tests.featurestore import children
from tests.featurestore.children import Child


def item(number: int, row: int | None, label: str | None = None, split: str | None = None) -> ItemChange:
    return ItemChange(number, True, f"/p/{number}.png", label, split, 10 * number, 20, 300, 400, f"sha-{number}", row)


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Items 1 to 4 of the encoder "e", with the rows 3, 2, 1, 0."""
    path = tmp_path_factory.mktemp("catalog") / "catalog.duckdb"
    made = Catalog(path)
    made.create()
    made.add_encoder("e", "name-e", 12, "{}")
    items = [item(1, 3, "rose"), item(2, 2, "rose", "test"), item(3, 1, "tulip"), item(4, 0)]
    made.commit("e", items, [], next_item=5, rows=4)
    return path


@pytest.fixture
def filled(template: Path, tmp_path: Path) -> Catalog:
    return Catalog(Path(shutil.copy(template, tmp_path)))


# -- where


@pytest.mark.parametrize(
    ("where", "ids"),
    [
        ("label = 'rose'", [1, 2]),
        ("label = 'rose' AND split IS NULL OR width > 30", [1, 4]),
        ("TRUE", [1, 2, 3, 4]),
        ("id IN (SELECT max(id) FROM items)", [4]),
        ("id IN (SELECT id FROM items ORDER BY width DESC LIMIT 2)", [3, 4]),
        ("EXISTS (SELECT 1 FROM items o WHERE o.label = items.label AND o.id <> items.id)", [1, 2]),
        ("path LIKE '%/3.png' -- a comment", [3]),
        ("/* a comment */ label IN ('tulip')", [3]),
        ("label = 'it''s; SELECT 1 -- '", []),
        ("CASE WHEN width > 20 THEN label IS NULL ELSE split = 'test' END", [2, 4]),
        ("added_at < now()::TIMESTAMP + INTERVAL 1 DAY", [1, 2, 3, 4]),
        ("(label = 'rose') = FALSE", [3]),
    ],
)
def test_where_chooses_items(filled: Catalog, where: str, ids: list[int]) -> None:
    rows, found, counted = filled.rows("e", where)
    assert sorted(found.tolist()) == ids
    assert rows.tolist() == sorted(4 - i for i in ids)  # ascending, each with its own id
    assert [4 - row for row in rows.tolist()] == found.tolist()
    assert counted == 4


@pytest.mark.parametrize(
    "where",
    [
        "", "   ", "-- nothing", "1=1 UNION SELECT id FROM items", "1=1 UNION ALL SELECT 1", "1=1) UNION SELECT (1", "1=1 LIMIT 1", "1=1 OFFSET 2",
        "1=1 ORDER BY id", "1=1 GROUP BY id", "1=1 GROUP BY ALL", "1=1 HAVING count(*) > 0", "1=1 QUALIFY row_number() OVER () = 1",
        "1=1 USING SAMPLE 1", "1=1; SELECT 2", "1=1; DROP TABLE all_items", "'open", "(1=1", "1=1)", "/* open", "label = ", "SELECT 1",
    ],
)  # fmt: skip
def test_what_is_not_one_expression_is_refused(where: str) -> None:
    with pytest.raises(QueryError, match="expected one expression over the columns of items"):
        check_expression(where)


@pytest.mark.parametrize(
    "where", ["rose = 1", "label = rose", "label > 5 AND label::INT = 1", "nothing(label)", "'maybe'"]
)
def test_an_expression_that_does_not_hold_is_a_query_error(filled: Catalog, where: str) -> None:
    with pytest.raises(QueryError, match="where"):
        filled.rows("e", where)


def test_a_where_that_takes_too_long_is_stopped(filled: Catalog) -> None:
    began = time.monotonic()
    with pytest.raises(QueryError, match=r"took more than 0\.2 s"):
        filled.rows("e", "(SELECT count(*) FROM range(1000000) a, range(1000000) b) > 0", seconds=0.2)
    assert time.monotonic() - began < 5


# -- SQL


def test_sql_answers_in_arrow(filled: Catalog) -> None:
    table = filled.sql("SELECT label, count(*) AS n FROM items GROUP BY label ORDER BY n DESC, label", 5)
    assert table.to_pylist() == [{"label": "rose", "n": 2}, {"label": "tulip", "n": 1}, {"label": None, "n": 1}]


@pytest.mark.parametrize(
    "text",
    [
        "SELECT * FROM read_text('{secret}')", "SELECT * FROM read_csv('{secret}')", "SELECT * FROM '{secret}'", "SELECT * FROM glob('{folder}/*')",
        "SELECT * FROM sniff_csv('{secret}')", "SELECT * FROM read_blob('{secret}')",
        "COPY items TO '{folder}/out.csv'", "COPY (SELECT 1) TO '{folder}/out.parquet'", "EXPORT DATABASE '{folder}/out'", "ATTACH '{folder}/out.db'",
        "SET enable_external_access = true", "SET memory_limit = '100GB'", "RESET lock_configuration", "PRAGMA memory_limit = '100GB'",
        "INSTALL httpfs", "LOAD httpfs", "LOAD '{folder}/x.duckdb_extension'", "IMPORT DATABASE '{folder}'",
        "DELETE FROM all_items", "UPDATE all_items SET label = 'x'", "INSERT INTO meta VALUES (1, 1)", "DROP TABLE all_items", "CREATE TABLE t (a INT)",
        "SELECT 1; SELECT 2", "", "  ", "-- nothing", "SELEC 1", "SELECT * FROM nothing", "SELECT nothing FROM items", "SELECT ?",
    ],
)  # fmt: skip
def test_sql_that_reads_files_or_writes_is_refused_and_nothing_happens(
    filled: Catalog, tmp_path: Path, text: str
) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a,b\n1,2\n")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*")}
    with pytest.raises(QueryError, match="SQL"):
        filled.sql(text.format(secret=secret, folder=tmp_path), 5)
    assert {path: path.read_bytes() for path in tmp_path.rglob("*")} == before


def test_sql_sees_no_variable_of_this_program(filled: Catalog) -> None:
    for name in ("text", "connection", "relation", "SETTINGS", "np"):
        with pytest.raises(QueryError, match="SQL"):
            filled.sql(f"SELECT * FROM {name}", 5)


def test_sql_that_never_ends_is_stopped(filled: Catalog) -> None:
    began = time.monotonic()
    with pytest.raises(QueryError, match=r"took more than 0\.2 s"):
        filled.sql("SELECT count(*) FROM range(1000000) a, range(1000000) b, range(1000000) c", 0.2)
    assert time.monotonic() - began < 5


def test_a_refused_query_leaves_the_catalog_usable(filled: Catalog) -> None:
    with pytest.raises(QueryError):
        filled.sql("SELEC", 5)
    assert filled.sql("SELECT count(*) AS n FROM items", 5).to_pylist() == [{"n": 4}]


# -- reading and writing


def test_describe_keeps_the_order_of_the_ids(filled: Catalog) -> None:
    found = filled.describe(np.array([3, 1, 4, 2, 1]))
    assert [(Path(path).stem, label, split) for path, label, split in found] == [
        ("3", "tulip", None), ("1", "rose", None), ("4", None, None), ("2", "rose", "test"), ("1", "rose", None),
    ]  # fmt: skip
    assert filled.describe(np.array([], np.int64)) == []


def test_known_files_say_what_an_encoder_has_seen(filled: Catalog) -> None:
    known, next_item, rows = filled.known_files("e")
    assert (next_item, rows) == (5, 4)
    assert known["/p/2.png"] == catalog.KnownFile(2, 300, 400, "sha-2", "rose", "test", removed=False, encoded=True)
    known, next_item, rows = filled.known_files("another")
    assert (next_item, rows) == (5, 0)
    assert not known["/p/2.png"].encoded


def test_creating_twice_keeps_what_is_there(filled: Catalog) -> None:
    filled.create()
    assert filled.counts()["items"] == 4


def test_adding_an_encoder_twice_keeps_its_rows(filled: Catalog) -> None:
    filled.add_encoder("e", "another name", 7, "{}")
    [record] = filled.encoders()
    assert (record.name, record.dim, record.rows) == ("name-e", 12, 4)


def test_labels_are_set_by_path(filled: Catalog) -> None:
    assert "/p/9.png" not in filled.paths()
    filled.set_labels(["/p/1.png", "/p/4.png", "/p/9.png"], [None, "lily", "lily"], None)
    assert [d[1:] for d in filled.describe(np.array([1, 2, 3, 4]))] == [(None, None), ("rose", "test"), ("tulip", None), ("lily", None)]  # fmt: skip
    filled.set_labels(["/p/2.png"], ["rose"], [None])
    assert filled.describe(np.array([2]))[0][2] is None


# -- several processes


@contextmanager
def held(store: Path, seconds: float) -> Iterator[Child]:
    with Child(children.hold_catalog, store, seconds) as child:
        assert child.hear() == "held"
        yield child


def test_a_busy_catalog_names_the_process_that_holds_it(store_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalog, "BUSY_SECONDS", 0.2)
    opened = Catalog(store_path / "catalog.duckdb")
    with held(store_path, 60) as child:
        with pytest.raises(StoreBusy, match=rf"is held by process {child.pid} for more than"):
            opened.counts()
        with pytest.raises(StoreBusy, match=rf"process {child.pid}\b"):
            opened.remove([1], [])
    assert opened.counts()["items"] == 6


def test_a_busy_catalog_is_waited_for(store_path: Path) -> None:
    with held(store_path, 0.4):
        assert Catalog(store_path / "catalog.duckdb").counts()["items"] == 6


def test_a_log_that_a_crash_left_is_read(store_path: Path) -> None:
    with Child(children.leave_a_log, store_path) as child:
        child.wait()
    assert (store_path / "catalog.duckdb.wal").exists()
    opened = Catalog(store_path / "catalog.duckdb")
    assert opened.sql("SELECT label FROM items WHERE id = 1", 5).to_pylist() == [{"label": "logged"}]
    opened.remove([2], [])
    assert opened.counts()["labels"]["logged"] == 1


# -- files that are something else


def test_a_newer_schema_is_refused_in_words(store_path: Path) -> None:
    with duckdb.connect(str(store_path / "catalog.duckdb")) as connection:
        connection.execute("UPDATE meta SET schema_version = 99")
    with pytest.raises(StoreError, match="has schema 99, this featurestore knows up to 1; upgrade featurestore"):
        FeatureStore.open(store_path)


@pytest.mark.parametrize("folder", ["plain", "clock"])  # a busy catalog is told by DuckDB's words, not by the path's
def test_a_file_that_is_no_database_is_corrupt(tmp_path: Path, folder: str) -> None:
    path = tmp_path / folder / "catalog.duckdb"
    path.parent.mkdir()
    path.write_bytes(b"these are not the bytes of a database" * 1000)
    began = time.monotonic()
    with pytest.raises(StoreCorrupt, match="cannot be read as a catalog"):
        Catalog(path).check()
    assert time.monotonic() - began < 2
    assert path.read_bytes() == b"these are not the bytes of a database" * 1000


def test_a_database_of_something_else_is_refused(tmp_path: Path) -> None:
    duckdb.connect(str(tmp_path / "catalog.duckdb")).close()
    with pytest.raises(StoreCorrupt, match="without its tables"):
        FeatureStore.open(tmp_path)


@pytest.mark.parametrize("tenths", [1, 3, 5, 7, 9])
def test_damaged_blocks_are_named(store_path: Path, tenths: int) -> None:
    path = store_path / "catalog.duckdb"
    data = bytearray(path.read_bytes())
    start = len(data) * tenths // 10
    data[start : start + 60_000] = os.urandom(len(data[start : start + 60_000]))
    path.write_bytes(data)
    with pytest.raises(StoreCorrupt, match=r"cannot be read as a catalog: Corrupt"):
        FeatureStore.open(store_path).search(1)


def test_a_catalog_that_was_cut_is_named(store_path: Path) -> None:
    path = store_path / "catalog.duckdb"
    os.truncate(path, path.stat().st_size // 2)
    with pytest.raises(StoreCorrupt, match="cannot be read as a catalog"):
        FeatureStore.open(store_path).info()


def test_a_catalog_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFound, match="expected a store, found nothing there"):
        Catalog(tmp_path / "catalog.duckdb").counts()
    with pytest.raises((DiskError, StoreCorrupt)):
        Catalog(tmp_path / "absent" / "catalog.duckdb").remove([1], [])
