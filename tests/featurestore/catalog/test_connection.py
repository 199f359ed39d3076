"""Connections to a catalog: one engine for many of them, and a new one whenever something went wrong in it."""

import shutil
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest

from featurestore import FeatureStore
from featurestore.catalog import Catalog, engine
from featurestore.catalog import connection as module
from featurestore.catalog.connection import Database
from featurestore.catalog.content import check_content
from featurestore.catalog.engine import SETTINGS, Connection, Engine
from featurestore.errors import DiskError, StoreBusy, StoreCorrupt


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """An entry for each engine that was started."""
    engines: list[str] = []

    class Counted(Engine):
        def __init__(self, path: Path, others: Sequence[Path] = ()) -> None:
            engines.append(path.name)
            super().__init__(path, others)

    monkeypatch.setattr(module, "Engine", Counted)
    return engines


def numbers(database: Database) -> list[int]:
    with database.connect(read_only=True) as connection:
        return [row[0] for row in connection.execute("SELECT number FROM numbers ORDER BY number").fetchall()]


def insert(database: Database, number: int) -> None:
    with database.transaction() as connection:
        connection.execute("INSERT INTO numbers VALUES (?)", [number])


@pytest.mark.parametrize("left", [False, True])
def test_many_connections_take_one_engine(tmp_path: Path, started: list[str], left: bool) -> None:
    """Also beside the folder that a killed process left."""
    database = Database(tmp_path / "one.duckdb")
    if left:
        (tmp_path / "one.duckdb.tmp").mkdir()
    with database.transaction() as connection:
        connection.execute("CREATE TABLE numbers AS SELECT 1 AS number")
    for number in (2, 3):
        insert(database, number)
        assert numbers(database) == list(range(1, number + 1))
    assert started == ["one.duckdb"]


def test_the_file_is_free_between_connections(database: Database) -> None:
    for _ in range(2):
        numbers(database)
        with duckdb.connect(str(database.path)) as other:  # refused while anybody else holds it
            other.execute("INSERT INTO numbers VALUES (5)")
    assert numbers(database) == [1, 5, 5]
    assert not database.path.with_name(f"{database.path.name}.wal").exists()


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, duckdb.ConstraintException])
def test_what_a_block_did_before_an_error_is_undone_and_the_next_works(
    database: Database, error: type[BaseException]
) -> None:
    with pytest.raises((StoreCorrupt, error)), database.transaction() as connection:  # noqa: PT012
        connection.execute("INSERT INTO numbers VALUES (2)")
        raise error("in the midst")
    assert numbers(database) == [1]


def test_a_file_that_was_damaged_and_put_right_is_read_again(database: Database) -> None:
    whole = database.path.read_bytes()
    database.path.write_bytes(b"x" * len(whole))
    with pytest.raises(StoreCorrupt):
        numbers(database)
    database.path.write_bytes(whole)
    assert numbers(database) == [1]


def test_what_is_committed_stays_so_when_the_file_cannot_be_closed(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Engine, "detach", lambda engine: False)
    for number in (2, 3):
        insert(database, number)
    assert numbers(database) == [1, 2, 3]


def test_a_store_that_is_opened_again_starts_no_engine_and_is_not_looked_through_again(
    store_path: Path, started: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[Path] = []

    def look(opened: Connection, path: Path) -> None:
        looked.append(path)
        check_content(opened, path)

    monkeypatch.setattr("featurestore.catalog.catalog.check_content", look)
    for _ in range(3):
        assert FeatureStore.open(store_path).info()["items"] == 6
    assert (len(started), len(looked)) == (1, 1)
    with duckdb.connect(str(store_path / "catalog.duckdb")) as another:
        another.execute("UPDATE all_items SET label = 'changed'")
    assert FeatureStore.open(store_path).info()["items"] == 6
    assert (len(started), len(looked)) == (1, 2)


def test_a_catalog_that_was_just_made_is_not_looked_through_unless_another_is_in_its_place(
    tmp_path: Path, store_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[Path] = []
    monkeypatch.setattr("featurestore.catalog.catalog.check_content", lambda opened, path: looked.append(path))
    made = Catalog(tmp_path / "catalog.duckdb")
    made.create()
    assert made.items.counts()["items"] == 0
    assert looked == []
    other = Catalog(tmp_path / "other" / "catalog.duckdb")
    other.path.parent.mkdir()
    other.create()
    shutil.copy(store_path / "catalog.duckdb", other.path)
    assert other.items.counts()["items"] == 6
    assert looked == [other.path]


def test_a_relative_path_means_another_store_in_another_folder(
    tmp_path: Path, indexed: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in (1, 2):
        (tmp_path / str(number)).mkdir()
        monkeypatch.chdir(tmp_path / str(number))
        shutil.copytree(indexed, "my.store")
        FeatureStore.open("my.store").delete(f"id <= {number}")
        assert FeatureStore.open("my.store").info()["items"] == 6 - number


def test_only_large_catalogs_are_read_by_several_threads(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "available_cpus", lambda: 3)
    for small, threads in ((engine.SMALL, 1), (0, 3), (engine.SMALL, 1)):
        monkeypatch.setattr(engine, "SMALL", small)
        with database.reading() as connection:
            assert connection.execute("SELECT current_setting('threads')").fetchall() == [(threads,)]


def test_threads_take_turns(database: Database) -> None:
    """Also where each opens the store for itself."""
    opened = [database, Database(database.path)]
    threads = [threading.Thread(target=insert, args=(opened[number % 2], number)) for number in range(2, 10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert numbers(database) == list(range(1, 10))


def test_a_connection_within_another_is_a_mistake_that_is_named(database: Database) -> None:
    with pytest.raises(RuntimeError, match="inside another"), database.connect(read_only=True):
        numbers(Database(database.path))
    assert numbers(database) == [1]


OPENS = """
import sys, duckdb
try:
    duckdb.connect(sys.argv[1]).close()
except duckdb.IOException:
    print("held")
"""


def held(database: Database) -> bool:
    """Whether another process finds the file locked."""
    command = [sys.executable, "-c", OPENS, str(database.path)]
    return "held" in subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout


def test_a_look_at_the_state_lets_no_other_process_into_a_transaction(database: Database) -> None:
    """Closing a file anywhere in a process takes away the locks that the process has on it."""
    before = database.state()
    seen = []
    with database.transaction() as connection:
        connection.execute("INSERT INTO numbers VALUES (2)")
        look = threading.Thread(target=lambda: seen.append(database.state()))
        look.start()
        look.join(30)
        assert held(database)
    assert seen == [before]
    assert not held(database)
    assert database.state() != before


def test_a_new_state_is_waited_for_while_another_thread_has_its_turn(database: Database) -> None:
    seen, other = [], Database(database.path)  # which knows no state yet
    look = threading.Thread(target=lambda: seen.append(other.state()))
    with database.transaction() as connection:
        look.start()
        look.join(0.2)
        assert seen == []
        connection.execute("INSERT INTO numbers VALUES (2)")
    look.join(30)
    assert seen == [database.state()]


def test_the_file_stays_closed_until_it_is_copied(database: Database) -> None:
    write = threading.Thread(target=insert, args=(database, 2))
    with database.closed():
        write.start()
        write.join(0.2)
        assert write.is_alive()
        assert not held(database)
    write.join(30)
    assert numbers(database) == [1, 2]


def test_nothing_stays_of_what_memory_could_not_hold(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(SETTINGS, "memory_limit", "20MB")
    spill = database.path.with_name(f"{database.path.name}.tmp")
    with Database(database.path).connect(read_only=True) as connection:  # whose engine starts with this limit
        connection.execute("CREATE TEMP TABLE large AS SELECT range AS i, hash(range) AS h FROM range(3_000_000)")
        assert spill.exists()
    assert not spill.exists()


@pytest.mark.parametrize(
    ("said", "kind", "reason"),
    [
        ("Conflicting lock is held in PID 0", StoreBusy, "not by a process of this machine; end the program .*has no working locks: move"),
        ("Conflicting lock is held in /bin/x (PID 77)", StoreBusy, "process 77 has had it open for more than 0 s"),
        ("No locks available", DiskError, "its file system has no locks, as some network drives; move the store to a local disk"),
    ],
)  # fmt: skip
def test_a_lock_that_cannot_be_had_names_its_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, kind: type[Exception], reason: str
) -> None:
    monkeypatch.setattr(module, "READER_SECONDS", 0)
    path = tmp_path / "catalog.duckdb"
    path.touch()

    def refuse() -> Any:
        raise duckdb.IOException(f'IO Error: Could not set lock on file "{path}": {said}')

    with pytest.raises(kind, match=reason):
        Database(path)._open_patiently(True, refuse)
