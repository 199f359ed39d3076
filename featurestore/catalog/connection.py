"""Connections to the catalog's file: short, retried while another process holds it, errors named. The only import of duckdb."""

import json
import re
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from featurestore.errors import DiskError, QueryError, StoreBusy, StoreCorrupt, StoreError, StoreNotFound

BUSY_SECONDS = 10.0  # how long a held catalog is waited for
CLOCK_TICK_NS = 50_000_000  # coarser than the clock of any local file system
Connection = duckdb.DuckDBPyConnection
Settings = dict[str, str | bool | int | float | list[str]]
SETTINGS: Settings = {
    "memory_limit": "2GB",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}
GUARDED: Settings = {
    **SETTINGS,
    "enable_external_access": "false",
    "lock_configuration": "true",
}  # for SQL that users write


class Database:
    """One DuckDB file. A connection lives as long as a transaction, so that several processes share it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._one_at_a_time = threading.RLock()

    def state(self) -> tuple[Any, ...] | None:
        """What changes whenever a transaction is committed: inode, size and time of the file and of the log beside it.

        None while the file has changed so lately that another change could hide in the same tick of its clock.
        """
        found: list[Any] = []
        for path in (self.path, Path(f"{self.path}.wal")):
            try:
                stat = path.stat()
            except FileNotFoundError:
                found.append(None)
                continue
            if time.time_ns() - stat.st_mtime_ns < CLOCK_TICK_NS:
                return None
            found.append((stat.st_ino, stat.st_size, stat.st_mtime_ns))
        return tuple(found)

    @contextmanager
    def connect(self, read_only: bool, settings: Settings = SETTINGS) -> Iterator[Connection]:
        """Open the file for the length of the block. Raises StoreNotFound, StoreBusy, StoreCorrupt, DiskError."""
        with self._one_at_a_time:
            connection = self._open(read_only, settings)
            try:
                yield connection
            except duckdb.Error as error:
                raise self._named(error) from error
            finally:
                connection.close()

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Commit what the block does, whole; nothing of it when it raises."""
        with self.connect(read_only=False) as connection:
            connection.begin()
            yield connection
            connection.commit()

    @contextmanager
    def guarded(self, seconds: float) -> Iterator[Connection]:
        """Open the file for SQL of users: no files, no settings, no writing, `seconds` at most. Raises QueryError."""
        with self.connect(read_only=True, settings=GUARDED) as connection:
            timer = threading.Timer(seconds, connection.interrupt)
            timer.start()
            try:
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

    def _open(self, read_only: bool, settings: Settings) -> Connection:
        if read_only and not self.path.exists():
            raise StoreNotFound(f"{self.path}: expected a store, found nothing there; index some images first")
        deadline, pause = time.monotonic() + BUSY_SECONDS, 0.005
        while True:
            try:
                return duckdb.connect(str(self.path), read_only=read_only, config=dict(settings))
            except (duckdb.IOException, duckdb.ConnectionException) as error:
                text = str(error)
                if "Could not set lock" not in text and "different configuration" not in text:
                    raise self._named(error) from error
                if time.monotonic() > deadline:
                    holder = re.search(r"PID (\d+)", text)
                    who = f"process {holder[1]}" if holder else "another process"
                    raise StoreBusy(
                        f"{self.path} is held by {who} for more than {BUSY_SECONDS:.0f} s; wait for it or end it, then try again"
                    ) from error
                time.sleep(pause)
                pause = min(2 * pause, 0.2)
            except duckdb.Error as error:
                raise self._named(error) from error

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
        return StoreCorrupt(
            f"{self.path} cannot be read as a catalog: {first}; see what is left: featurestore verify {self.path.parent}"
        )


def ask(connection: Connection, text: str) -> pa.Table:
    """Run one statement of a user that returns rows; raises QueryError when it is something else."""
    if len(connection.extract_statements(text)) != 1:
        raise QueryError(f"SQL {text!r}: expected one statement")
    relation = connection.sql(text)
    if relation is None:
        raise QueryError(f"SQL {text!r}: expected a statement that returns rows, such as SELECT")
    return relation.to_arrow_table()


def chosen(connection: Connection, where: str) -> list[int]:
    """Give the ids of the items for which an expression holds, once `check_expression` has let it through."""
    try:
        found = connection.execute(f"SELECT id FROM items WHERE {where}\n").fetchall()
    except duckdb.Error as error:
        if isinstance(error, duckdb.InterruptException) or _is_damage(error):
            raise
        raise QueryError(f"where {where!r}: {str(error).splitlines()[0]}") from error
    return [row[0] for row in found]


def check_expression(where: str) -> None:
    """Raise QueryError unless `where` is exactly one SQL expression."""
    with duckdb.connect(config=GUARDED) as parser:
        answer = parser.execute("SELECT json_serialize_sql($1::TEXT)", [f"SELECT 1 WHERE {where}\n"]).fetchall()[0][0]
    tree = json.loads(answer)
    hint = "expected one expression over the columns of items, such as label = 'rose' AND width > 100"
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


def _is_damage(error: duckdb.Error) -> bool:
    """Whether an error is the fault of the catalog's file and not of the SQL."""
    return isinstance(error, duckdb.IOException) or "Corrupt database file" in str(error)
