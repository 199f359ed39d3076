"""Connections to the catalog's file: short, retried while another process has it open, with errors that say what to do."""

import re
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TypeVar

import duckdb
import pyarrow as pa

from featurestore.catalog.catalog_state import CatalogState, FileStat, connection_lock, read_state, stat_of
from featurestore.catalog.engine import Check, Connection, Engine, files_of, locked, spill_folder
from featurestore.catalog.sql_process import IDLE, run_in_process, try_log
from featurestore.catalog.user_sql import explain, has_long_values, is_damage, run_where
from featurestore.catalog.where import GUARDED, SHORT, check_length, column_names, is_harmless, parse
from featurestore.errors import DiskError, QueryError, StoreBusy, StoreCorrupt, StoreError, StoreNotFound
from featurestore.system.plain_file import FOLDER, require_plain
from featurestore.system.text import as_argument

Opened = TypeVar("Opened")
READER_SECONDS = 10.0  # how long a reader waits for the file
WRITER_SECONDS = 120.0  # how long a writer waits: longer than any reader may take
DAMAGE = (  # words in DuckDB's messages
    "Corrupt database file",
    "not a valid DuckDB database file",
    "Could not read enough bytes",
    "Could not read from file",
    "WAL",
)
NO_LOCKS = ("No locks available", "Function not implemented")  # of the file system
HELD = ("Could not set lock", "different configuration", "Unique file handle conflict")  # by another process; by us


class Database:
    """One DuckDB file. A connection lives as long as a transaction, so that several processes can share the file.

    check: looks at the content of a file before it is used for the first time, and raises for one that must not be.
    others: files that SQL may attach beside it.
    """

    def __init__(self, path: Path, check: Check = lambda connection: None, others: Sequence[Path] = ()) -> None:
        self.path = path
        self._check, self._others = check, others
        self._checked: FileStat | None = None  # the file that `check` has seen, as we left it
        self._tried: FileStat | None = None  # the log that was tried
        self._parts = str(path), f"{path}.wal"
        self._lock = connection_lock(path)
        self._last_state: CatalogState | None = None
        self._engine: Engine | None = None  # between connections

    def state(self) -> CatalogState:
        """Give a value that changes with every transaction: inode, size, time and headers of the file and of its log.

        DuckDB raises a counter in the headers. While another thread has a connection the file cannot be opened; then the last state
        is given if size and time are still the same. Raises DiskError.
        """
        last = self._last_state
        if last is not None and self._lock.is_held() and last.stats == tuple(map(stat_of, self._parts)):
            return last
        with self._lock.hold():
            try:
                self._last_state = CatalogState(*zip(*map(read_state, self._parts), strict=True))
            except OSError as error:
                raise DiskError(
                    f"{self.path} cannot be read: {error.strerror}; no damage is known, try again"
                ) from error
            return self._last_state

    def reading(self) -> AbstractContextManager[Connection]:
        """Open the file for reading for the length of the block. Raises StoreNotFound, StoreBusy, StoreCorrupt, DiskError."""
        return self.connect(read_only=True)

    @contextmanager
    def connect(self, read_only: bool) -> Iterator[Connection]:
        """Open the file for the length of the block. Raises StoreNotFound, StoreBusy, StoreCorrupt, DiskError."""
        with self._lock.hold(), self._named_errors():
            engine, self._engine, reusable = self._engine or Engine(self.path, self._others), None, False
            try:
                yield self._open_patiently(read_only, lambda: engine.attach(read_only, self._check_once))
                reusable = engine.detach()
                if not read_only:
                    self._checked = stat_of(self._parts[0])
            finally:
                if reusable:
                    self._engine = engine
                else:  # after an error its state is unknown
                    engine.stop()

    def _check_once(self, connection: Connection) -> None:
        """Check the file, unless it is the one that was checked before."""
        if (file := stat_of(self._parts[0])) != self._checked:
            self._check(connection)
            self._checked = file

    def _check_for_users(self) -> None:
        """Check a new file before users' SQL sees it."""
        if stat_of(self._parts[0]) != self._checked:
            with self.reading():
                pass

    @contextmanager
    def transaction(self) -> Iterator[Connection]:
        """Commit everything the block does, or nothing when it raises."""
        with self.connect(read_only=False) as connection:
            connection.begin()
            yield connection
            connection.commit()

    @contextmanager
    def closed(self) -> Iterator[None]:
        """Keep the file closed in this process for the length of the block, which may copy or move it."""
        with self._lock.hold():
            yield

    @contextmanager
    def guarded(self, seconds: float) -> Iterator[Connection]:
        """Open the file for a harmless `where` of users: no files, no settings, no writing, at most `seconds`. Raises QueryError."""
        self._check_for_users()
        with self._lock.hold(), self._named_errors():
            path = str(self.path)
            connection = self._open_patiently(True, lambda: duckdb.connect(path, read_only=True, config=dict(GUARDED)))
            timer = threading.Timer(seconds, connection.interrupt)
            try:
                timer.start()
                yield connection
            except duckdb.InterruptException as error:
                raise QueryError(
                    f"the SQL took more than {seconds:g} s and was stopped; select less, or allow more time"
                ) from error
            except duckdb.Error as error:
                if is_damage(error):
                    raise
                raise QueryError(f"SQL: {explain(connection, error)}") from error
            finally:
                timer.cancel()
                connection.close()

    def run_sql(self, text: str, seconds: float, where: str | None = None) -> pa.Table:
        """Run a user's SQL, or a query of ours with a user's `where`, in a process of its own with limits. Raises QueryError."""
        self._check_for_users()
        with self._lock.hold(), self._named_errors(), IDLE.one() as child:
            return self._open_patiently(True, lambda: run_in_process(child, self.path, text, where, seconds))

    def run_where(self, where: str, text: str, seconds: float, table: str) -> pa.Table:
        """Run a query of ours with a user's `where` about a table: here, when its form bounds its cost. Raises QueryError."""
        check_length("where", where)
        tree = parse(where) if len(where) <= SHORT else None
        if tree is not None and is_harmless(tree):
            with self.guarded(seconds) as connection:
                if not has_long_values(connection, column_names(tree), table):
                    return run_where(connection, where, text)
        return self.run_sql(text, seconds, where)

    def _open_patiently(self, read_only: bool, open_file: Callable[[], Opened]) -> Opened:
        """Open the file; while another process has it open, try again for some time. DuckDB opens by name, so the names are looked at first."""
        for file in files_of(self.path):
            require_plain(Path(file))
        require_plain(spill_folder(self.path), FOLDER)
        if read_only and not self.path.exists():
            raise StoreNotFound(f"{self.path}: expected a store, found nothing there; index some images first")
        patience = READER_SECONDS if read_only else WRITER_SECONDS
        deadline, pause = time.monotonic() + patience, 0.005
        while True:
            try:
                self._try_log()
                return open_file()
            except duckdb.Error as error:
                text = str(error)
                if any(words in text for words in NO_LOCKS):
                    raise DiskError(
                        f"{self.path}: its file system has no locks, as some network drives; move the store to a local disk"
                    ) from error
                if not any(words in text for words in HELD):
                    raise
                if time.monotonic() > deadline:
                    raise StoreBusy(f"{self.path}: {_holder(text, patience)}") from error
                time.sleep(pause)
                pause = min(2 * pause, 0.2)

    def _try_log(self) -> None:
        """Apply a log that was left in a process with limits first, unless it is the one that was tried before."""
        log = stat_of(self._parts[1])
        if log not in (None, self._tried) and self.path.exists():
            try_log(self.path)
            self._tried = log

    @contextmanager
    def _named_errors(self) -> Iterator[None]:
        """Turn DuckDB's errors into ours."""
        try:
            yield
        except duckdb.Error as error:
            raise self._named(error) from error
        except RuntimeError as error:
            if "interrupted" in str(error):  # how DuckDB reports Ctrl-C
                raise KeyboardInterrupt from error
            raise

    def _named(self, error: duckdb.Error) -> StoreError:
        """Choose the error by what the user can do about it."""
        first = str(error).splitlines()[0]
        if "Too many open files" in str(error):
            return DiskError(
                f"{self.path} cannot be opened: too many open files; allow more of them (ulimit -n), then try again"
            )
        if "Permission denied" in first or "Read-only" in first:
            return DiskError(f"{self.path} cannot be opened: {first}; check its permissions")
        if "Could not write" in first or "No space left" in first:
            return DiskError(
                f"{self.path} could not be written ({first}); everything committed before is safe: free some space and run the same command again"
            )
        if isinstance(error, duckdb.OutOfMemoryException):
            return StoreError(f"{self.path}: not enough memory ({first}); end other programs, then try again")
        if "database file with version" in first:
            return StoreError(f"{self.path} was written by another version of DuckDB: {first}; install that version")
        if isinstance(error, duckdb.IOException) and not any(words in first for words in DAMAGE):
            return DiskError(f"{self.path} cannot be read: {first}; no damage is known, try again")
        return StoreCorrupt(
            f"{self.path} cannot be read as a catalog: {first}; to see what can be saved: featurestore verify {as_argument(self.path.parent)}"
        )


def _holder(text: str, patience: float) -> str:
    """Say who has the file open, from DuckDB's message, and what to do. Of a process that this system does not see the id is 0."""
    found = re.search(r"PID (\d+)", text)
    if found is not None and found[1] == "0":
        return (
            f"it has been locked for more than {patience:.0f} s, and not by a process of this machine; end the program that uses it in a "
            "container or on another machine; if there is none, its file system has no working locks: move the store to a local disk"
        )
    who = f"process {found[1]}" if found is not None else "another process"
    return f"{who} has had it open for more than {patience:.0f} s; wait for it or end it, then try again"


@contextmanager
def scratch() -> Iterator[Connection]:
    """Give a temporary database for the length of the block: in memory, then in a temporary folder. Raises StoreError."""
    with tempfile.TemporaryDirectory() as folder:
        connection = locked(folder)
        try:
            yield connection
        except (duckdb.OutOfMemoryException, duckdb.IOException) as error:
            raise StoreError(
                f"not enough memory, and no space in {folder}: {str(error).splitlines()[0]}; end other programs, or set TMPDIR"
            ) from error
        finally:
            connection.close()
