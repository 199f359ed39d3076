"""A catalog's file as the system sees it: whose turn it is to open it, and what tells that it changed."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

HEADERS = 12_288  # bytes at the start of a DuckDB file: three headers
Outside = tuple[int, int, int]  # number, size and time of a file, which can be had without opening it


class Turns:
    """One connection to a file at a time, in the whole program.

    DuckDB's lock on a file belongs to the process, and the system takes it away when the process closes the file anywhere: nothing here
    may open it, not even to look into it, while a connection lives. While one is open, DuckDB also hands out the same file
    again, even if it was replaced.
    """

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Nobody has a turn any more."""
        self._lock = threading.Lock()
        self._holder: int | None = None

    @contextmanager
    def one(self) -> Iterator[None]:
        """Wait for the turn of this thread and keep it for the length of the block."""
        if self._holder == threading.get_ident():
            raise RuntimeError("a connection to a catalog within another one to the same")
        with self._lock:
            self._holder = threading.get_ident()
            try:
                yield
            finally:
                self._holder = None

    def taken(self) -> bool:
        """Whether some thread has its turn."""
        return self._holder is not None


_TURNS: dict[Path, Turns] = {}


def _after_fork() -> None:
    """A process made by fork has one thread, and no other will ever give its turn back."""
    for turns in _TURNS.values():
        turns.reset()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def turns_of(path: Path) -> Turns:
    """The turns of a file, the same for all who ask for it."""
    return _TURNS.setdefault(path.resolve(), Turns())


@dataclass(frozen=True, slots=True)
class State:
    """A catalog's file and the log beside it: number, size and time of each, and what they begin with."""

    outside: tuple[Outside | None, ...]
    headers: tuple[bytes | None, ...]


def outside(path: str) -> Outside | None:
    """What can be seen of a file from outside, or None when there is none."""
    try:
        stat = os.stat(path)
    except FileNotFoundError:
        return None
    return stat.st_ino, stat.st_size, stat.st_mtime_ns


def look(path: str) -> tuple[Outside | None, bytes | None]:
    """The same, and what the file begins with."""
    try:
        handle = os.open(path, os.O_RDONLY)  # asked before each search: no more than it takes
    except FileNotFoundError:
        return None, None
    try:
        stat = os.fstat(handle)
        return (stat.st_ino, stat.st_size, stat.st_mtime_ns), os.pread(handle, HEADERS, 0)
    finally:
        os.close(handle)
