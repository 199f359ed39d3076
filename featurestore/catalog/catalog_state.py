"""The catalog's file as the operating system sees it: who may open it, and how a change of it is noticed."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from featurestore.system.no_follow import open_no_follow

HEADERS = 12_288  # bytes at the start of a DuckDB file: three headers
QUESTIONS = 2  # of users at a time: each may take 2 GB of memory
FileStat = tuple[int, int, int]  # inode, size and time of a file, which can be read without opening it


class ConnectionLock:
    """Allows one connection to a file at a time in this process.

    DuckDB locks a file for the process, and the system drops that lock when the process closes the file anywhere. So nothing here may
    open the file while a connection lives, not even to read its headers. While a connection is open, DuckDB also hands out the same
    file again, even if it was replaced.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Release the lock, whoever holds it."""
        self._lock = threading.Lock()
        self.questions = threading.Semaphore(QUESTIONS)  # of users, which processes of their own answer
        self._holder: int | None = None

    @contextmanager
    def hold(self) -> Iterator[None]:
        """Wait for the lock and hold it for the length of the block. Raises RuntimeError when this thread holds it already."""
        if self._holder == threading.get_ident():
            raise RuntimeError("a connection to a catalog was opened inside another one to the same catalog")
        with self._lock:
            self._holder = threading.get_ident()
            try:
                yield
            finally:
                self._holder = None

    def is_held(self) -> bool:
        """Whether some thread holds the lock."""
        return self._holder is not None


_LOCKS: dict[Path, ConnectionLock] = {}


def _after_fork() -> None:
    """A forked process has one thread: locks that other threads held would never be released."""
    for lock in _LOCKS.values():
        lock.reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def connection_lock(path: Path) -> ConnectionLock:
    """Give the lock of a file: the same object for everybody in this process."""
    return _LOCKS.setdefault(path.resolve(), ConnectionLock())


@dataclass(frozen=True, slots=True)
class CatalogState:
    """The catalog's file and the log beside it: inode, size and time of each, and their first bytes."""

    stats: tuple[FileStat | None, ...]
    headers: tuple[bytes | None, ...]


def stat_of(path: str) -> FileStat | None:
    """Read inode, size and time of a file without opening it; None when there is none."""
    try:
        stat = os.lstat(path)
    except FileNotFoundError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def read_state(path: str) -> tuple[FileStat | None, bytes | None]:
    """Read the same, and the first bytes of the file."""
    try:
        handle = open_no_follow(Path(path))  # runs before each search, so it does no more than it must
    except FileNotFoundError:
        return None, None
    try:
        stat = os.fstat(handle)
        return (stat.st_ino, stat.st_size, stat.st_mtime_ns), os.pread(handle, HEADERS, 0)
    finally:
        os.close(handle)
