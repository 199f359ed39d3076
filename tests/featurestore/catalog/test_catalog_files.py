"""The catalog as a file: held by other processes, damaged, or something else."""

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import numpy as np
import pytest

from featurestore import FeatureStore
from featurestore.catalog import Catalog, connection
from featurestore.catalog.schema import SCHEMA_VERSION
from featurestore.errors import DiskError, StoreBusy, StoreCorrupt, StoreError, StoreNotFound
from tests.featurestore import children
from tests.featurestore.children import Child

# -- several processes


@contextmanager
def held(store: Path, seconds: float) -> Iterator[Child]:
    with Child(children.hold_catalog, store, seconds) as child:
        assert child.hear() == "held"
        yield child


def test_a_busy_catalog_names_the_process_that_holds_it(store_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "READER_SECONDS", 0.2)
    monkeypatch.setattr(connection, "WRITER_SECONDS", 0.2)
    opened = Catalog(store_path / "catalog.duckdb")
    with held(store_path, 60) as child:
        with pytest.raises(StoreBusy, match=rf"process {child.pid} has had it open for more than"):
            opened.items.counts()
        with pytest.raises(StoreBusy, match=rf"process {child.pid}\b"):
            opened.changes.mark_removed(np.array([1]), [])
    assert opened.items.counts()["items"] == 6


def test_a_busy_catalog_is_waited_for(store_path: Path) -> None:
    with held(store_path, 0.4):
        assert Catalog(store_path / "catalog.duckdb").items.counts()["items"] == 6


def test_a_log_that_a_crash_left_is_read(store_path: Path) -> None:
    with Child(children.leave_a_log, store_path) as child:
        child.wait()
    assert (store_path / "catalog.duckdb.wal").exists()
    opened = Catalog(store_path / "catalog.duckdb")
    assert opened.sql("SELECT label FROM items WHERE id = 1", 5).to_pylist() == [{"label": "logged"}]
    opened.changes.mark_removed(np.array([2]), [])
    assert opened.items.counts()["labels"]["logged"] == 1


# -- files that are something else


def test_a_newer_schema_is_refused_in_words(store_path: Path) -> None:
    with duckdb.connect(str(store_path / "catalog.duckdb")) as opened:
        opened.execute("UPDATE meta SET schema_version = 99")
    with pytest.raises(
        StoreError, match=f"has schema 99, this featurestore knows schemas up to {SCHEMA_VERSION}; upgrade featurestore"
    ):
        FeatureStore.open(store_path)


@pytest.mark.parametrize("folder", ["plain", "clock"])  # a busy catalog is told by DuckDB's words, not by the path's
def test_a_file_that_is_no_database_is_corrupt(tmp_path: Path, folder: str) -> None:
    path = tmp_path / folder / "catalog.duckdb"
    path.parent.mkdir()
    path.write_bytes(b"these are not the bytes of a database" * 1000)
    began = time.monotonic()
    with pytest.raises(StoreCorrupt, match="cannot be read as a catalog"):
        Catalog(path).schema_version()
    assert time.monotonic() - began < 2
    assert path.read_bytes() == b"these are not the bytes of a database" * 1000


def test_a_database_of_something_else_is_refused(tmp_path: Path) -> None:
    duckdb.connect(str(tmp_path / "catalog.duckdb")).close()
    with pytest.raises(StoreCorrupt, match="without its tables"):
        FeatureStore.open(tmp_path)


@pytest.mark.parametrize("tenths", [1, 4, 7])
@pytest.mark.parametrize("cut", [False, True])
def test_damaged_or_missing_blocks_are_named(store_path: Path, tenths: int, cut: bool) -> None:
    path = store_path / "catalog.duckdb"
    data = path.read_bytes()
    start = len(data) * tenths // 10
    path.write_bytes(data[:start] + (b"" if cut else os.urandom(60_000) + data[start + 60_000 :]))
    with pytest.raises(StoreCorrupt, match="cannot be read as a catalog"):
        FeatureStore.open(store_path).sql("SELECT * FROM all_items, encoders, vectors, blocks, failures")


def test_a_catalog_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StoreNotFound, match="expected a store, found nothing there"):
        Catalog(tmp_path / "catalog.duckdb").items.counts()
    with pytest.raises((DiskError, StoreCorrupt)):
        Catalog(tmp_path / "absent" / "catalog.duckdb").changes.mark_removed(np.array([1]), [])
