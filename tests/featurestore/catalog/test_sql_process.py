"""The processes that run users' SQL: kept for the next statement, replaced when one ended, and never in the way of the file."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pytest

from featurestore.catalog import Catalog
from featurestore.catalog.sql_process import PROCESSES, named_columns, run_in_process
from featurestore.errors import QueryError, StoreBusy

ENDLESS = "SELECT count(*) FROM range(1000000) a, range(1000000) b, range(1000000) c"


@pytest.fixture(autouse=True)
def no_process_of_other_tests() -> Iterator[None]:
    PROCESSES.close()
    yield
    PROCESSES.close()


def pids() -> list[int]:
    return [child.pid for _, child in PROCESSES._idle]


def one(catalog: Catalog) -> object:
    return catalog.sql("SELECT 1 AS one", 20).to_pylist()


def test_a_process_is_used_again_also_after_an_error_and_leaves_the_file_alone(filled: Catalog) -> None:
    assert one(filled) == [{"one": 1}]
    [first] = pids()
    for wrong in (
        "SELECT nothing FROM items",
        "SELECT * FROM read_text('/etc/hostname')",
        "SELECT repeat('x', 1500000000)",
    ):
        with pytest.raises(QueryError):
            filled.sql(wrong, 20)
    with duckdb.connect(str(filled.path)) as writer:  # refused while anybody else holds the file
        writer.execute("UPDATE all_items SET label = 'new' WHERE id = 1")
    assert filled.items.select("lower(label) = 'new'").tolist() == [1]
    assert named_columns(f"label = '{'x' * 2000}' AND width > 3 AND label <> 'y'") == ["label", "width"]
    assert pids() == [first]


def test_others_read_while_a_process_calculates(filled: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server has one reader that asks for much, and others that must not wait for it."""
    began, go_on = threading.Event(), threading.Event()

    def run_slowly(*given: Any) -> pa.Table:
        began.set()
        assert go_on.wait(60)
        return run_in_process(*given)

    monkeypatch.setattr("featurestore.catalog.connection.run_in_process", run_slowly)
    answers: list[object] = []
    thread = threading.Thread(target=lambda: answers.append(one(filled)))
    thread.start()
    try:
        assert began.wait(60)
        assert filled.items.count() == 4
        assert filled.items.select("label = 'rose'").tolist() == [1, 2]
        assert answers == []
    finally:
        go_on.set()
        thread.join()
    assert answers == [[{"one": 1}]]


@pytest.mark.slow
def test_a_process_that_is_killed_at_work_is_named(filled: Catalog) -> None:
    one(filled)
    threading.Timer(0.2, os.kill, (pids()[0], signal.SIGKILL)).start()
    with pytest.raises(QueryError, match="SQL: its process ended without an answer: it was killed, perhaps because"):
        filled.sql(ENDLESS, 20)
    assert pids() == []


@pytest.mark.slow
def test_a_catalog_that_another_process_writes_is_waited_for(filled: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    filled.sql("SELECT 1", 20)
    fork = os.fork()
    if fork == 0:
        with duckdb.connect(str(filled.path)):
            time.sleep(1)
        os._exit(0)
    time.sleep(0.3)
    monkeypatch.setattr("featurestore.catalog.connection.READER_SECONDS", 0.1)
    with pytest.raises(StoreBusy, match=f"process {fork} has had it open"):
        filled.sql("SELECT 1", 20)
    monkeypatch.setattr("featurestore.catalog.connection.READER_SECONDS", 10.0)
    assert one(filled) == [{"one": 1}]
    os.waitpid(fork, 0)


@pytest.mark.slow
def test_threads_have_processes_of_their_own_and_leave_one(filled: Catalog, tmp_path: Path) -> None:
    copies = [Catalog(tmp_path / f"{number}.duckdb") for number in range(4)]
    for copy in copies:
        copy.path.write_bytes(filled.path.read_bytes())
    found: dict[int, object] = {}

    def ask(number: int) -> None:
        for _ in range(3):
            found[number] = copies[number % 4].sql(f"SELECT {number} + count(*) AS n FROM items", 20)["n"].to_pylist()

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {number: [number + 4] for number in range(8)}
    assert len(pids()) == 1


@pytest.mark.slow
def test_a_fork_has_a_process_of_its_own(filled: Catalog) -> None:
    one(filled)
    [before] = pids()
    fork = os.fork()
    if fork == 0:
        answered = pids() == [] and one(filled) == [{"one": 1}] and pids() != [before]
        PROCESSES.close()
        os._exit(0 if answered else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(fork, 0)[1]) == 0
    assert one(filled) == [{"one": 1}]
    assert pids() == [before]


def test_a_relative_path_is_that_of_the_caller_now(filled: Catalog, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process keeps the folder in which it was started."""
    assert one(filled) == [{"one": 1}]
    monkeypatch.chdir(filled.path.parent)
    assert one(Catalog(Path(filled.path.name))) == [{"one": 1}]
