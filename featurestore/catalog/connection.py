"""Connections to the catalog's file: short, retried while another process holds it, errors named. The only import of duckdb."""

import json
import re
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurestore.catalog.file import State, look, outside, turns_of
from featurestore.errors import DiskError, QueryError, StoreBusy, StoreCorrupt, StoreError, StoreNotFound

BUSY_SECONDS = 10.0  # how long a held catalog is waited for
WRITER_SECONDS = 120.0  # the same for writing: longer than any reader may take
DAMAGE = (
    "Corrupt database file",
    "not a valid DuckDB database file",
    "Could not read enough bytes",
    "Could not read from file",
    "WAL",
)  # in the words of DuckDB
HELD = ("Could not set lock", "different configuration", "Unique file handle conflict")  # by another process; by us
Connection = duckdb.DuckDBPyConnection
Settings = dict[str, str | bool | int | float | list[str]]
SETTINGS: Settings = {
    "memory_limit": "2GB",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "async_threads": 0,  # by default eight more a DuckDB, for remote files
}
GUARDED: Settings = {
    **SETTINGS,
    "enable_external_access": "false",
    "lock_configuration": "true",
}  # for SQL that users write


class Engine:
    """A DuckDB without a file, to which one is attached for the length of a connection: starting it takes ten times as long as that.

    Between connections it has no threads, which a fork would not copy, and nothing in `spill`, the folder for what memory cannot hold.
    """

    def __init__(self, spill: Path) -> None:
        self._root = duckdb.connect(config={**SETTINGS, "temp_directory": str(spill)})
        (self._threads,) = self._root.execute("SELECT current_setting('threads')").fetchall()[0]
        self._connection: Connection | None = None
        self._spill, self._left_over = spill, False

    def attach(self, path: Path, read_only: bool) -> Connection:
        """Open the file and give a connection that works in it."""
        self._left_over = self._spill.exists()  # of a process that was killed
        self._connection = self._root.cursor()
        self._connection.execute(f"ATTACH {quoted(path)} AS attached (TYPE duckdb{', READ_ONLY' if read_only else ''})")
        self._connection.execute(f"USE attached; SET threads TO {self._threads}")
        return self._connection

    def detach(self) -> bool:
        """Close the file; tells whether the engine is as before. What was committed is kept, in the log beside the file at least."""
        if self._connection is not None:
            self._connection.close()
        try:
            self._root.execute("DETACH attached; SET threads TO 1")
        except duckdb.Error:
            return False
        return self._left_over or not self._spill.exists()

    def stop(self) -> None:
        """Close everything, whatever happened."""
        try:
            if self._connection is not None:
                self._connection.close()
        finally:
            self._root.close()


class Database:
    """One DuckDB file. A connection lives as long as a transaction, so that several processes share it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._parts = str(path), f"{path}.wal"
        self._turns = turns_of(path)
        self._known: State | None = None
        self._spill = path.with_name(f"{path.name}.tmp")
        self._engine: Engine | None = None  # between connections

    def state(self) -> State:
        """What changes with every transaction: the file's number and headers, whose counter DuckDB raises, and the log beside it.

        While another thread has its turn the file cannot be looked into; then it is as before when its size and times are.
        """
        known = self._known
        if known is not None and self._turns.taken() and known.outside == tuple(map(outside, self._parts)):
            return known
        with self._turns.one():
            self._known = State(*zip(*map(look, self._parts), strict=True))
            return self._known

    @contextmanager
    def connect(self, read_only: bool) -> Iterator[Connection]:
        """Open the file for the length of the block. Raises StoreNotFound, StoreBusy, StoreCorrupt, DiskError."""
        with self._turns.one(), self._errors_named():
            engine, self._engine, whole = self._engine or Engine(self._spill), None, False
            try:
                yield self._patiently(read_only, lambda: engine.attach(self.path, read_only))
                whole = engine.detach()
            finally:
                if whole:
                    self._engine = engine
                else:  # what a disturbed engine still does, nobody knows
                    engine.stop()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Commit what the block does, whole; nothing of it when it raises."""
        with self.connect(read_only=False) as connection:
            connection.begin()
            yield connection
            connection.commit()

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Keep the file closed in this process for the length of the block, which may read it by other means."""
        with self._turns.one():
            yield

    @contextmanager
    def guarded(self, seconds: float) -> Iterator[Connection]:
        """Open the file for SQL of users: no files, no settings, no writing, `seconds` at most. Raises QueryError."""
        with self._turns.one(), self._errors_named():
            path = str(self.path)
            connection = self._patiently(True, lambda: duckdb.connect(path, read_only=True, config=dict(GUARDED)))
            timer = threading.Timer(seconds, connection.interrupt)
            try:
                timer.start()
                yield connection
            except duckdb.InterruptException as error:
                raise QueryError(
                    f"the SQL took more than {seconds:g} s and was stopped; ask for less, or allow more time"
                ) from error
            except duckdb.Error as error:
                if _is_damage(error):
                    raise
                raise QueryError(f"SQL refused: {' '.join(str(error).split())[:300]}") from error
            finally:
                timer.cancel()
                connection.close()

    def _patiently(self, read_only: bool, opened: Callable[[], Connection]) -> Connection:
        """Open the file, and try again for a while where somebody holds it."""
        if read_only and not self.path.exists():
            raise StoreNotFound(f"{self.path}: expected a store, found nothing there; index some images first")
        patience = BUSY_SECONDS if read_only else WRITER_SECONDS
        deadline, pause = time.monotonic() + patience, 0.005
        while True:
            try:
                return opened()
            except duckdb.Error as error:
                text = str(error)
                if not any(words in text for words in HELD):
                    raise
                if time.monotonic() > deadline:
                    holder = re.search(r"PID (\d+)", text)
                    who = f"process {holder[1]}" if holder else "another process"
                    raise StoreBusy(
                        f"{self.path} is held by {who} for more than {patience:.0f} s; wait for it or end it, then try again"
                    ) from error
                time.sleep(pause)
                pause = min(2 * pause, 0.2)

    @contextmanager
    def _errors_named(self) -> Iterator[None]:
        """Raise our errors in the place of DuckDB's."""
        try:
            yield
        except duckdb.Error as error:
            raise self._named(error) from error
        except RuntimeError as error:
            if "interrupted" in str(error):  # how DuckDB tells of Ctrl-C
                raise KeyboardInterrupt from error
            raise

    def _named(self, error: duckdb.Error) -> StoreError:
        """Name an error of DuckDB by what can be done about it."""
        first = str(error).splitlines()[0]
        if "Permission denied" in first or "Read-only" in first:
            return DiskError(f"{self.path} cannot be opened: {first}; check its permissions")
        if "Could not write" in first or "No space left" in first:
            return DiskError(
                f"{self.path} could not be written ({first}); what was indexed before is kept: free some space and run the same command again"
            )
        if isinstance(error, duckdb.OutOfMemoryException):
            return StoreError(f"{self.path}: not enough memory ({first}); end other programs, then try again")
        if "database file with version" in first:
            return StoreError(f"{self.path} was written by another version of DuckDB: {first}; install that version")
        if isinstance(error, duckdb.IOException) and not any(words in first for words in DAMAGE):
            return DiskError(f"{self.path} cannot be read: {first}; nothing is known to be damaged, try again")
        return StoreCorrupt(
            f"{self.path} cannot be read as a catalog: {first}; see what is left: featurestore verify {self.path.parent}"
        )


@contextmanager
def scratch() -> Iterator[Connection]:
    """A database of its own for the length of the block, in memory and, when that is full, in a temporary folder. Raises StoreError."""
    with tempfile.TemporaryDirectory() as folder:
        connection = duckdb.connect(config={**SETTINGS, "temp_directory": folder})
        try:
            yield connection
        except (duckdb.OutOfMemoryException, duckdb.IOException) as error:
            raise StoreError(
                f"not enough memory, nor room in {folder}: {str(error).splitlines()[0]}; end other programs, or set TMPDIR"
            ) from error
        finally:
            connection.close()


def quoted(path: Path) -> str:
    """A path as SQL writes text."""
    return "'" + str(path).replace("'", "''") + "'"


def ask(connection: Connection, text: str) -> pa.Table:
    """Run one statement of a user that returns rows; raises QueryError when it is something else."""
    if len(connection.extract_statements(text)) != 1:
        raise QueryError(f"SQL {text!r}: expected one statement")
    relation = connection.sql(text)
    if relation is None:
        raise QueryError(f"SQL {text!r}: expected a statement that returns rows, such as SELECT")
    return relation.to_arrow_table()


def ask_where(connection: Connection, where: str, text: str) -> NDArray[np.int64]:
    """Run one query of ours that holds a `where`; gives its one column. Raises QueryError that names the `where`."""
    try:
        found: NDArray[np.int64] = connection.sql(text).to_arrow_table().column(0).to_numpy()
    except duckdb.Error as error:
        if isinstance(error, duckdb.InterruptException) or _is_damage(error):
            raise
        raise QueryError(f"where {where!r}: {str(error).splitlines()[0]}") from error
    return found


def check_expression(where: str) -> None:
    """Raise QueryError unless `where` is exactly one SQL expression."""
    hint = "expected one expression over the columns of items, such as label = 'rose' AND width > 100"
    try:
        with _parser().cursor() as parser:
            text = f"SELECT 1 WHERE {where}\n"
            tree = json.loads(parser.execute("SELECT json_serialize_sql($1::TEXT)", [text]).fetchall()[0][0])
    except (duckdb.Error, UnicodeError) as error:
        if isinstance(error, (duckdb.InternalException, duckdb.FatalException)):
            _parser.cache_clear()  # it would answer nothing any more
        raise QueryError(f"where {where!r}: {error}; {hint}") from error
    if tree["error"]:
        raise QueryError(f"where {where!r}: {tree['error_message']}; {hint}")
    statement = tree["statements"][0] if len(tree["statements"]) == 1 else {}
    node = statement.get("node", {})
    clauses = ("modifiers", "group_expressions", "group_sets", "having", "qualify", "sample")
    plain = (
        node.get("type") == "SELECT_NODE"
        and node.get("aggregate_handling") == "STANDARD_HANDLING"
        and not any(node.get(c) for c in clauses)
    )
    if not plain or not node.get("where_clause"):
        raise QueryError(f"where {where!r}: found more than an expression; {hint}")


@cache
def _parser() -> Connection:
    """A DuckDB without a file or threads, which parses SQL and runs none of it."""
    return duckdb.connect(config={**GUARDED, "threads": 1})


def _is_damage(error: duckdb.Error) -> bool:
    """Whether an error is the fault of the catalog's file and not of the SQL."""
    return isinstance(error, duckdb.IOException) or "Corrupt database file" in str(error)
