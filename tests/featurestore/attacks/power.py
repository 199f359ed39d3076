"""A disk that may lose what was not flushed to it: which files, names and bytes a power cut would leave."""

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from featurestore.catalog.connection import Database

Names = dict[str, dict[str, int]]  # of each folder, "" the watched one: its entries with their inodes


@dataclass(frozen=True)
class Cut:
    """What would be on the disk had the power failed at one moment."""

    moment: str
    commits: int  # transactions that were finished
    names: Names
    contents: dict[int, bytes]

    def leave(self, root: Path) -> None:
        """Write it to a folder, which does not exist."""
        self._folder(root, "")

    def _folder(self, to: Path, place: str) -> None:
        to.mkdir()
        for name, inode in self.names.get(place, {}).items():
            inside = f"{place}/{name}".lstrip("/")
            if inode in self.contents:
                (to / name).write_bytes(self.contents[inode])
            else:
                self._folder(to / name, inside)


class PowerCuts:
    """Watches what is flushed in a folder, and notes at each flush and each transaction what power cuts could leave.

    Files are known by their inodes, which stay open so that none is used again. DuckDB flushes its files itself: what a transaction
    left counts as flushed.
    """

    def __init__(self, root: Path, look: Callable[[], Any]) -> None:
        self.root, self._look = root, look
        self.committed: list[Any] = [None]  # what `look` said after each transaction, and before the first one
        self._cuts: list[Cut] = []
        self._flushed_names: Names = {}
        self._flushed: dict[int, bytes] = {}
        self._handles: dict[int, int] = {}

    def during(self, work: Callable[[], object]) -> list[Cut]:
        """Do some work; returns what power cuts during it could leave."""
        self._cuts = []
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "fsync", self._watch_fsync(os.fsync))
            patch.setattr(Database, "connect", self._watch_connect(Database.connect))
            work()
        return self._cuts

    def _watch_fsync(self, fsync: Callable[[int], None]) -> Callable[[int], None]:
        def watched(handle: int) -> None:
            path = Path(os.readlink(f"/proc/self/fd/{handle}"))
            if path.is_relative_to(self.root.parent):
                self._note(f"before {path.name}")
                self._flush(path)
                self._note(f"after {path.name}")
            fsync(handle)

        return watched

    def _watch_connect(self, connect: Callable[..., Any]) -> Callable[..., Any]:
        @contextmanager
        def watched(database: Database, read_only: bool) -> Iterator[Any]:
            with connect(database, read_only) as connection:
                yield connection
            if not read_only and database.path == self.root / "catalog.duckdb":
                self._flush(database.path)
                self.committed.append(self._look())
                self._note(f"commit {len(self.committed)}")

        return watched

    def _flush(self, path: Path) -> None:
        if path.is_dir():
            self._flushed_names[str(path.relative_to(self.root.parent))] = self._entries(path)
        else:
            self._flushed[self._hold(path)] = path.read_bytes()

    def _hold(self, path: Path) -> int:
        inode = path.stat().st_ino
        if inode not in self._handles:
            self._handles[inode] = os.open(path, os.O_RDONLY)
        return inode

    def _entries(self, folder: Path) -> dict[str, int]:
        return {path.name: self._hold(path) for path in folder.iterdir()}

    def _note(self, moment: str) -> None:
        """Note three cuts: nothing that was not flushed; all names, but files end where they were flushed; the same with zeros for the rest."""
        if not self.root.exists():
            return
        folders = [self.root, *(path for path in self.root.rglob("*") if path.is_dir())]
        written = {str(folder.relative_to(self.root.parent)): self._entries(folder) for folder in folders}
        files = {self._hold(p): p.stat().st_size for p in self.root.rglob("*") if p.is_file()}
        short = {inode: self._flushed.get(inode, b"")[:size] for inode, size in files.items()}
        zeros = {inode: data.ljust(files[inode], b"\0") for inode, data in short.items()}
        old = {inode: self._flushed.get(inode, b"") for inode in self._handles if self._is_file(inode)}
        for names, contents in ((self._flushed_names, old), (written, short), (written, zeros)):
            self._cuts.append(Cut(moment, len(self.committed) - 1, _below(names, self.root.name), dict(contents)))

    def _is_file(self, inode: int) -> bool:
        return os.path.isfile(f"/proc/self/fd/{self._handles[inode]}") or inode in self._flushed

    def close(self) -> None:
        for handle in self._handles.values():
            os.close(handle)


def _below(names: Names, top: str) -> Names:
    """Give the entries by their places below a folder."""
    return {"" if place == top else place.removeprefix(f"{top}/"): dict(entries) for place, entries in names.items()}


@contextmanager
def replaced(store: Path, by: Callable[[Path], None]) -> Iterator[None]:
    """Put another store in the place of one for the length of the block."""
    aside = store.with_name("aside")
    if store.exists():
        store.rename(aside)
    by(store)
    try:
        yield
    finally:
        shutil.rmtree(store)
        if aside.exists():
            aside.rename(store)
