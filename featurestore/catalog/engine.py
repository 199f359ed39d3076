"""A DuckDB that stays in memory and opens the catalog's file for the length of a connection."""

from pathlib import Path

import duckdb

Connection = duckdb.DuckDBPyConnection
Settings = dict[str, str | bool | int | float | list[str]]
SETTINGS: Settings = {
    "memory_limit": "2GB",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
    "async_threads": 0,  # by default DuckDB starts eight more threads for remote files
}


class Engine:
    """A DuckDB without a file of its own. Starting one takes ten times as long as attaching a file to it.

    Between connections it has no threads, because a fork would not copy them, and no files in `spill`, the folder for what does not
    fit into memory.
    """

    def __init__(self, spill: Path) -> None:
        self._root = duckdb.connect(config={**SETTINGS, "temp_directory": str(spill)})
        (self._threads,) = self._root.execute("SELECT current_setting('threads')").fetchall()[0]
        self._connection: Connection | None = None
        self._spill, self._spill_existed = spill, False

    def attach(self, path: Path, read_only: bool) -> Connection:
        """Open the file and give a connection that works in it."""
        self._spill_existed = self._spill.exists()  # left by a process that was killed
        self._connection = self._root.cursor()
        self._connection.execute(f"ATTACH {quoted(path)} AS attached (TYPE duckdb{', READ_ONLY' if read_only else ''})")
        self._connection.execute(f"USE attached; SET threads TO {self._threads}")
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


def quoted(path: Path) -> str:
    """Write a path as an SQL string."""
    return "'" + str(path).replace("'", "''") + "'"
