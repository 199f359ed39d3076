"""The table of all items in memory: found by id in any order, read again when the catalog has changed, and not at every change."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from featurestore.errors import StoreBusy
from featurestore.gallery import item_table
from featurestore.gallery.item_table import FreshItems, ItemTable


@pytest.mark.parametrize("ids", [[1, 2, 5, 9], [9, 2, 1, 5]])
def test_items_are_found_by_id(ids: list[int]) -> None:
    table = ItemTable(pa.table({"id": pa.array(ids, pa.int64()), "name": [f"item {item}" for item in ids]}))
    found = table.rows(np.array([0, 5, 1, 7, 10], np.int64))
    assert dict(zip(*(column.to_pylist() for column in found.columns), strict=True)) == {5: "item 5", 1: "item 1"}
    assert len(ItemTable(pa.table({"id": pa.array([], pa.int64())})).rows(np.array([1]))) == 0


class Store:
    """A catalog whose state is set by the test."""

    def __init__(self) -> None:
        self.state, self.read = "a", 0

    def table(self, most_bytes: int) -> pa.Table:
        self.read += 1
        return pa.table({"id": pa.array([self.read], pa.int64())})


def soon(fresh: FreshItems) -> ItemTable:
    deadline = time.monotonic() + 10
    while (found := fresh.now()) is None:
        assert time.monotonic() < deadline
        time.sleep(0.002)
    return found


def test_the_table_is_that_of_now(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(item_table, "CALM_SECONDS", 0.01)
    monkeypatch.setattr(item_table, "SHORTEST_BREAK", 0.0)
    store, told = Store(), []
    fresh = FreshItems(lambda: store.state, store.table)
    fresh.after_reading = lambda: told.append(store.read)
    assert fresh.now() is None
    first = soon(fresh)
    assert fresh.now() is first
    store.state = "b"
    assert fresh.now() is None
    assert len(soon(fresh).rows(np.array([2], np.int64))) == 1
    assert (store.read, told) == (2, [1, 2])


def test_a_catalog_that_keeps_changing_is_not_read_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(item_table, "CALM_SECONDS", 0.1)
    monkeypatch.setattr(item_table, "SHORTEST_BREAK", 0.0)
    store = Store()
    fresh = FreshItems(lambda: store.state, store.table)
    soon(fresh)
    for number in range(20):
        store.state = f"b{number}"
        assert fresh.now() is None
        time.sleep(0.01)
    soon(fresh)
    assert store.read < 6


def test_a_store_that_is_too_large_or_broken_is_read_from_its_catalog() -> None:
    store = Store()

    def broken(most_bytes: int) -> pa.Table:
        store.read += 1
        raise StoreBusy("later")

    for read in (lambda most: None, broken):
        fresh = FreshItems(lambda: store.state, read)
        assert fresh.now() is None
        deadline = time.monotonic() + 10
        while fresh._reading:
            assert time.monotonic() < deadline
            time.sleep(0.002)
        assert fresh.now() is None
    assert store.read == 1


def test_the_end_of_the_program_does_not_wait_for_the_next_reading(store_path: Path) -> None:
    """A daemon thread that is cut off in the midst of DuckDB's code ends the program with an abort."""
    program = f"""
from pathlib import Path
from featurestore import FeatureStore
from featurestore.gallery import item_table
from featurestore.gallery.gallery import Gallery
from featurestore.gallery.thumb_cache import ThumbCache
gallery = Gallery(FeatureStore.open({str(store_path)!r}), ThumbCache(None))
item_table.CALM_SECONDS = 60.0
gallery.items._known = "an earlier state", None
gallery.warm_up()
"""
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
