"""Processes that run users' SQL. DuckDB looks at its limits between pieces of work only; the system looks at them always."""

import atexit
import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from featurestore.catalog import user_sql
from featurestore.catalog.where import SHORT, check_length, column_names, parse
from featurestore.errors import QueryError, StoreUntrusted
from featurestore.system.child_limits import Limits
from featurestore.system.child_process import ChildEnded, ChildProcess, Ending
from featurestore.system.messages import Message

MODULE = "featurestore.catalog.sql_child"
IDLE_SECONDS = 60.0  # after which a process without work ends
LIMITS = Limits(memory=2 << 30, cpu_seconds=3600.0, idle_seconds=2 * IDLE_SECONDS)
OPEN_SECONDS = 30.0  # to open a catalog
PARSE_SECONDS = 30.0


class IdleProcesses:
    """Processes that wait for the next statement: one, unless several threads run SQL at the same time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._idle: list[tuple[float, ChildProcess]] = []

    @contextmanager
    def one(self) -> Iterator[ChildProcess]:
        """Lend a process for the length of the block, which ends it when it leaves it in the midst of an answer."""
        child = self._take()
        try:
            yield child
        except (QueryError, duckdb.Error):
            self._give_back(child)
            raise
        except BaseException:
            child.close()
            raise
        self._give_back(child)

    def _take(self) -> ChildProcess:
        with self._lock:
            while self._idle:
                since, child = self._idle.pop()
                if child.is_usable() and time.monotonic() - since < IDLE_SECONDS:
                    return child
                child.close()
        return ChildProcess(MODULE, LIMITS)

    def _give_back(self, child: ChildProcess) -> None:
        with self._lock:
            if self._idle or not child.is_usable():
                child.close()
            else:
                self._idle.append((time.monotonic(), child))

    def close(self) -> None:
        """End all processes without work; in a fork, which has none of its own, forget them."""
        while self._idle:
            self._idle.pop()[1].close()

    def after_fork(self) -> None:
        self._lock = threading.Lock()
        self.close()


IDLE = IdleProcesses()
atexit.register(IDLE.close)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=IDLE.after_fork)


def check_expression(where: str) -> None:
    """Raise QueryError unless `where` is exactly one SQL expression."""
    named_columns(where)


def named_columns(where: str) -> list[str]:
    """List the columns that an expression names, each once, in its order. Raises QueryError for what is no expression."""
    check_length("where", where)
    if len(where) <= SHORT:
        return column_names(parse(where))
    with IDLE.one() as child:
        try:
            columns: list[str] = _checked(child.ask(Message({"columns": where}), PARSE_SECONDS)).header["columns"]
        except ChildEnded as ended:
            raise _named(ended, "where", PARSE_SECONDS) from ended
    return columns


def run_in_process(child: ChildProcess, path: Path, text: str, where: str | None, seconds: float) -> pa.Table:
    """Run a statement of a user, or a query of ours that contains a `where` of a user.

    Raises QueryError for what is wrong with it, and duckdb.Error when the catalog cannot be opened or read.
    """
    request = {
        "path": os.path.abspath(path),
        "text": text,
        "where": where,
        "seconds": seconds,
        "bytes": user_sql.RESULT_BYTES,
    }
    try:
        _checked(child.ask(Message(request), OPEN_SECONDS))
        deadline = time.monotonic() + seconds
        tables = []
        while "end" not in (message := _checked(child.receive(deadline, 2 * user_sql.RESULT_BYTES))).header:
            tables.append(pa.ipc.open_stream(message.data).read_all())
    except ChildEnded as ended:
        raise _named(ended, "SQL" if where is None else "where", seconds) from ended
    return pa.concat_tables(tables)


def try_log(path: Path) -> None:
    """Open a catalog with the log beside it, which may calculate without end when it is applied. Raises StoreUntrusted, duckdb.Error."""
    try:
        with IDLE.one() as child:
            run_in_process(child, path, "SELECT 1", None, OPEN_SECONDS)
    except QueryError as error:
        raise StoreUntrusted(
            f"{path}.wal: expected a log that can be applied within {OPEN_SECONDS:g} s and 2 GB of memory, found one that cannot; do not use it "
            "if it is not your own; without the log, the store is as it was before the last changes"
        ) from error


def _checked(message: Message) -> Message:
    """Raise the error that a message tells of."""
    match message.header:
        case {"error": "QueryError", "text": text, "cause": cause}:
            raise QueryError(text) from (None if cause is None else _duckdb_error(cause, ""))
        case {"error": name, "text": text}:
            raise _duckdb_error(name, text)
    return message


def _duckdb_error(name: str, text: str) -> duckdb.Error:
    kind: Any = getattr(duckdb, name, duckdb.Error)
    error: duckdb.Error = kind(text)
    return error


def _named(ended: ChildEnded, kind: str, seconds: float) -> QueryError:
    """Say why a statement has no answer, and what to do."""
    match ended.ending:
        case Ending.DEADLINE | Ending.CPU:
            return QueryError(f"the SQL took more than {seconds:g} s and was stopped; select less, or allow more time")
        case Ending.MEMORY:
            return QueryError(f"{kind}: it needs more memory than it may have; select less")
    return QueryError(f"{kind}: its process ended without an answer: {ended}; write it in another way, or select less")
