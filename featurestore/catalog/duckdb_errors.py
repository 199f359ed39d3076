"""DuckDB's errors about the catalog's file, as errors that say what to do."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb

from featurestore.errors import DiskError, StoreBusy, StoreCorrupt, StoreError
from featurestore.system.read_errors import unreadable
from featurestore.system.text import as_argument

DAMAGE = (  # words in DuckDB's messages
    "Corrupt database file",
    "not a valid DuckDB database file",
    "Could not read enough bytes",
    "Could not read from file",
    "WAL",
)
NO_LOCKS = ("No locks available", "Function not implemented")  # of the file system
HELD = ("Could not set lock", "different configuration", "Unique file handle conflict")  # by another process; by us


@contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """Turn DuckDB's errors into ours."""
    try:
        yield
    except duckdb.Error as error:
        raise _named(path, error) from error
    except RuntimeError as error:
        if "interrupted" in str(error):  # how DuckDB reports Ctrl-C
            raise KeyboardInterrupt from error
        raise


def is_held(path: Path, error: duckdb.Error) -> bool:
    """Whether a file could not be opened because somebody has it open. Raises DiskError where the file system has no locks."""
    text = str(error)
    if any(words in text for words in NO_LOCKS):
        raise DiskError(
            f"{path}: its file system has no locks, as some network drives; move the store to a local disk"
        ) from error
    return any(words in text for words in HELD)


def busy(path: Path, error: duckdb.Error, patience: float) -> StoreBusy:
    """Say who has the file open, from DuckDB's message, and what to do. Of a process that this system does not see the id is 0."""
    found = re.search(r"PID (\d+)", str(error))
    if found is not None and found[1] == "0":
        return StoreBusy(
            f"{path}: it has been locked for more than {patience:.0f} s, and not by a process of this machine; end the program that uses it in a "
            "container or on another machine; if there is none, its file system has no working locks: move the store to a local disk"
        )
    who = f"process {found[1]}" if found is not None else "another process"
    return StoreBusy(
        f"{path}: {who} has had it open for more than {patience:.0f} s; wait for it or end it, then try again"
    )


def _named(path: Path, error: duckdb.Error) -> StoreError:
    """Choose the error by what the user can do about it."""
    first = str(error).splitlines()[0]
    if "Too many open files" in str(error):
        return DiskError(
            f"{path} cannot be opened: too many open files; allow more of them (ulimit -n), then try again"
        )
    if "Permission denied" in first or "Read-only" in first:
        return DiskError(f"{path} cannot be opened: {first}; check its permissions")
    if "Could not write" in first or "No space left" in first:
        return DiskError(
            f"{path} could not be written ({first}); everything committed before is safe: free some space and run the same command again"
        )
    if isinstance(error, duckdb.OutOfMemoryException):
        return StoreError(f"{path}: not enough memory ({first}); end other programs, then try again")
    if "database file with version" in first:
        return StoreError(f"{path} was written by another version of DuckDB: {first}; install that version")
    if isinstance(error, duckdb.IOException) and not any(words in first for words in DAMAGE):
        return unreadable(path, first)
    return StoreCorrupt(
        f"{path} cannot be read as a catalog: {first}; to see what can be saved: featurestore verify {as_argument(path.parent)}"
    )
