"""A DuckDB that stays in memory and opens the catalog's file for the length of a connection."""

from collections.abc import Callable, Sequence
from pathlib import Path

import duckdb

from featurestore.system.cpus import available_cpus

Connection = duckdb.DuckDBPyConnection
SMALL = 8 << 20  # bytes of a catalog: those with fewer than 122,880 items are smaller
Check = Callable[[Connection], None]  # of a file that was just attached, by a connection that does not use it yet
Settings = dict[str, str | bool | int | float | list[str]]
SETTINGS: Settings = {
    "memory_limit": "2GB",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "python_enable_replacements": False,  # names in SQL never mean Python variables
    "async_threads": 0,  # by default DuckDB starts eight more threads for remote files
}


class Engine:
    """A DuckDB without a file of its own. Starting one takes ten times as long as attaching a file to it.

    It can open the files of one catalog, and `others` to read from, but no other file, and its settings cannot be changed: the file may
    hold SQL of a stranger. Between connections it has no threads, because a fork would not copy them, and no files in its spill folder,
    where it puts what does not fit into memory.
    """

    def __init__(self, path: Path, others: Sequence[Path] = ()) -> None:
        self._path = path
        self._spill, self._spill_existed = spill_folder(path), False
        self._root = locked(self._spill, 1, [file for catalog in (path, *others) for file in files_of(catalog)])
        self._connection: Connection | None = None

    def attach(self, read_only: bool, check: Check) -> Connection:
        """Open the file, look at its content with `check`, and give a connection that works in it."""
        self._spill_existed = self._spill.exists()  # left by a process that was killed
        self._connection = self._root.cursor()
        self._connection.execute(
            f"ATTACH {quoted(self._path)} AS attached (TYPE duckdb{', READ_ONLY' if read_only else ''})"
        )
        check(self._connection)
        # Threads share a table by groups of 122,880 rows, and to start them takes longer than most queries of a small catalog.
        threads = available_cpus() if self._path.stat().st_size > SMALL else 1
        self._connection.execute(f"USE attached; SET threads TO {threads}")
        return self._connection

    def detach(self) -> bool:
        """Close the file; returns whether the engine can be used again. Committed data is safe, in the log beside the file at least."""
        if self._connection is not None:
            self._connection.close()
        try:
            self._root.execute("DETACH attached; SET threads TO 1")
        except duckdb.Error:
            return False
        return self._spill_existed or not self._spill.exists()

    def stop(self) -> None:
        """Close everything, whatever happened before."""
        try:
            if self._connection is not None:
                self._connection.close()
        finally:
            self._root.close()


def files_of(path: Path) -> list[str]:
    """List the files of a catalog: its own, and those that DuckDB writes beside it."""
    return [f"{path}{end}" for end in ("", ".wal", ".wal.checkpoint", ".wal.recovery")]


def spill_folder(path: Path) -> Path:
    """Give the folder for what does not fit into memory."""
    return path.with_name(f"{path.name}.tmp")


def locked(spill: Path | str, threads: int, files: Sequence[str] = ()) -> Connection:
    """Start a DuckDB that can open some files and no other, apart from those in its spill folder, and whose settings stay as they are."""
    config = {**SETTINGS, "temp_directory": str(spill), "allowed_configs": ["threads"], "threads": threads}
    connection = duckdb.connect(config=config)
    connection.execute(f"SET allowed_paths = [{', '.join(map(quoted, files))}]")
    connection.execute("SET enable_external_access = FALSE; SET lock_configuration = TRUE")
    return connection


def after_all(table: str) -> str:
    """Say in SQL when a row is added: now, or after the newest row where the clock was set back, so that the oldest stays the oldest."""
    return f"greatest(now()::TIMESTAMP, (SELECT max(added_at) + INTERVAL 1 MICROSECOND FROM {table}))"


def quoted(path: Path | str) -> str:
    """Write a path as an SQL string."""
    return "'" + str(path).replace("'", "''") + "'"


def quoted_name(name: str) -> str:
    """Write the name of a column as SQL does."""
    return '"' + name.replace('"', '""') + '"'
