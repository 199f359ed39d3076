"""Few open files, little memory, and clocks that go wrong."""

import os
import resource
import threading
import time
from collections.abc import Callable
from multiprocessing.connection import Connection
from pathlib import Path

import duckdb
import pytest

from featurestore import FeatureStore
from tests.featurestore.children import Child, outcome
from tests.featurestore.commands import Run
from tests.featurestore.fakes import paint


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))


@pytest.mark.slow
def test_nothing_stays_open(store_path: Path, encoder: Path, colours: Path) -> None:
    def work() -> None:
        FeatureStore.open(store_path).search(6)
        FeatureStore.open(store_path, encoder).index(colours)

    work()
    before = open_files(), threading.active_count()
    for _ in range(200):
        work()
    assert (open_files(), threading.active_count()) == before


def use_few_files(pipe: Connection, store: Path, new: Path, encoder: Path, source: Path, limit: int) -> None:
    """Use a store where no file gets a number of `limit` or more; says which other errors than ours came."""
    FeatureStore.open(store).search(6)  # what is imported late
    resource.setrlimit(resource.RLIMIT_NOFILE, (limit, limit))
    works: tuple[Callable[[], object], ...] = (
        lambda: FeatureStore.open(store).search(6),
        lambda: FeatureStore.open(new, encoder).index(source),
        lambda: FeatureStore.open(store).delete("id = 1"),
        lambda: FeatureStore.open(store).optimize(),
        lambda: FeatureStore.verify(store),
    )
    pipe.send(list(map(outcome, works)))


@pytest.mark.slow
@pytest.mark.parametrize("limit", [*range(8, 17), 20, 32])
def test_too_few_open_files_are_named(
    tmp_path: Path, store_path: Path, encoder: Path, colours: Path, limit: int
) -> None:
    new = tmp_path / "new.store"
    with Child(use_few_files, store_path, new, encoder, colours, limit) as child:
        came = child.hear(60)
    for said in came:
        assert said == "done" or (said.startswith(("DiskError", "EncoderError")) and "open files" in said), came
    assert not FeatureStore.verify(store_path).damaged
    assert FeatureStore.open(new, encoder).index(colours).failed == 0


def test_a_lack_of_memory_is_one_line(store_path: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*args: object, **named: object) -> None:
        raise MemoryError("std::bad_alloc")

    monkeypatch.setattr("featurestore.search.searcher.search_vectors", full)
    status, out, err = run("search", store_path, "id:6")
    assert (status, out) == (1, "")
    assert err.startswith("featurestore: not enough memory (std::bad_alloc); ")
    assert err.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [-(10**9), -1, 0, 2**31, 9 * 10**9])
def test_a_file_of_any_time_is_noticed_when_it_changes(tmp_path: Path, encoder: Path, seconds: int) -> None:
    image = paint(tmp_path / "photos" / "one.png", (255, 0, 0))
    paint(tmp_path / "photos" / "two.png", (0, 255, 0))
    store = FeatureStore.open(tmp_path / "my.store", encoder)
    store.index(tmp_path / "photos")
    os.utime(image, (seconds, seconds))
    assert store.index(tmp_path / "photos").unchanged == 2  # another time, the same content
    paint(image, (0, 0, 255))
    os.utime(image, (seconds - 1, seconds - 1))
    assert store.index(tmp_path / "photos").updated == 1


def test_a_clock_that_is_set_back_reorders_nothing(
    store_path: Path, other_encoder: Path, colours: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    back = iter(range(10**9, 0, -3600))
    monkeypatch.setattr(time, "time", lambda: next(back))
    store, default = FeatureStore.open(store_path), FeatureStore.open(store_path).info()["encoders"][0]["name"]
    for number, label in enumerate(("first", "second")):
        (tmp_path / "labels.csv").write_text(f"id,label\n6,{label}\n")
        assert store.label(tmp_path / "labels.csv").changed == 1
        with duckdb.connect(str(store_path / "catalog.duckdb")) as connection:  # DuckDB has a clock of its own
            for table, column in (("label_history", "made_at"), ("encoders", "added_at"), ("sources", "added_at")):
                connection.execute(f"UPDATE {table} SET {column} = {column} + INTERVAL {9 - number} DAY")
    FeatureStore.open(store_path, other_encoder).index(colours / "mixed", colours)
    assert next(encoder["name"] for encoder in store.info()["encoders"]) == default
    assert store.info()["sources"] == [str(colours), str(colours / "mixed")]
    labels = []
    for _ in range(2):
        store.undo_labels()
        labels += [row["label"] for row in store.sql("SELECT label FROM items WHERE id = 6").to_pylist()]
    assert labels == ["first", "primary"]
