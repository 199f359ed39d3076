"""Connections to the catalog's file: short, retried while another process has it open, with errors that say what to do."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TypeVar

import duckdb
import pyarrow as pa

from featurestore.catalog.catalog_state import CatalogState, FileStat, connection_lock, read_state, stat_of
from featurestore.catalog.duckdb_errors import busy, is_held, named_errors
from featurestore.catalog.engine import Check, Connection, Engine, files_of, spill_folder
from featurestore.catalog.sql_process import PROCESSES, run_in_process, too_slow, try_log
from featurestore.catalog.user_sql import explain, has_long_values, is_damage, run_where
from featurestore.catalog.where import GUARDED, SHORT, check_length, column_names, is_harmless, parse
from featurestore.errors import QueryError, StoreNotFound
from featurestore.system.no_follow import FOLDER, require_kind
from featurestore.system.read_errors import unreadable

Opened = TypeVar("Opened")
READER_SECONDS = 10.0  # how long a reader waits for the file
WRITER_SECONDS = 120.0  # how long a writer waits: longer than any reader may take


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
                raise unreadable(self.path, error.strerror) from error
            return self._last_state

    def reading(self) -> AbstractContextManager[Connection]:
        """Open the file for reading for the length of the block. Raises StoreNotFound, StoreBusy, StoreCorrupt, DiskError."""
        return self.connect(read_only=True)

    @contextmanager
    def connect(self, read_only: bool) -> Iterator[Connection]:
        """Open the file for the length of the block. Raises StoreNotFound, StoreBusy, StoreCorrupt, DiskError."""
        with self._lock.hold(), named_errors(self.path):
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

    def trust(self, file: FileStat | None) -> None:
        """Take a file at our path for checked, as long as it is the one that was just made."""
        self._checked = file

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
        with self._lock.hold(), named_errors(self.path):
            path = str(self.path)
            connection = self._open_patiently(True, lambda: duckdb.connect(path, read_only=True, config=dict(GUARDED)))
            timer = threading.Timer(seconds, connection.interrupt)
            try:
                timer.start()
                yield connection
            except duckdb.InterruptException as error:
                raise too_slow(seconds) from error
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
        # Without the lock of connections: the process has its own hold of the file, and others of this one read on while it calculates.
        with self._lock.questions, named_errors(self.path), PROCESSES.lend() as child:
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
            require_kind(Path(file))
        require_kind(spill_folder(self.path), FOLDER)
        if read_only and not self.path.exists():
            raise StoreNotFound(f"{self.path}: expected a store, found nothing there; index some images first")
        patience = READER_SECONDS if read_only else WRITER_SECONDS
        deadline, pause = time.monotonic() + patience, 0.005
        while True:
            try:
                self._try_log()
                return open_file()
            except duckdb.Error as error:
                if not is_held(self.path, error):
                    raise
                if time.monotonic() > deadline:
                    raise busy(self.path, error, patience) from error
                time.sleep(pause)
                pause = min(2 * pause, 0.2)

    def _try_log(self) -> None:
        """Apply a log that was left in a process with limits first, unless it is the one that was tried before."""
        log = stat_of(self._parts[1])
        if log not in (None, self._tried) and self.path.exists():
            try_log(self.path)
            self._tried = log
