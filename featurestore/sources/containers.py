"""Containers: files that hold many images. Each is opened once, and again after the file has changed."""

import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Protocol

from featurestore.errors import ImageError
from featurestore.sources import filesystem
from featurestore.sources.arrow import ArrowTable
from featurestore.sources.base import Failure, ImageFile, Source
from featurestore.sources.column_names import USUAL, ColumnNames
from featurestore.sources.formats import suffix
from featurestore.sources.lists import common_folder, list_files
from featurestore.sources.local_files import FileState
from featurestore.sources.lru_cache import LruCache
from featurestore.sources.parquet import ParquetTable
from featurestore.sources.passed_over import EXCLUDED, PassedOver
from featurestore.sources.table_columns import describe
from featurestore.sources.tables import TableFile
from featurestore.sources.tar import Tar

TRUSTED_SECONDS = 5.0  # how long the state of a remote file is trusted: a request costs as much as reading an image


class Container(Protocol):
    """A file of images, opened in one state."""

    path: str
    state: FileState

    @property
    def weight(self) -> int: ...  # its memory, in members of a tar

    def entries(self, named: ColumnNames) -> Iterator[ImageFile | Failure]: ...

    def labelled_by(self, named: ColumnNames) -> str: ...  # after its entries; see `Source`

    def read(self, member: str) -> bytes: ...


READERS: dict[str, Callable[[str, FileState], Container]] = {
    ".tar": Tar,
    ".parquet": ParquetTable,
    ".arrow": ArrowTable,
}

_opened: LruCache[Container] = LruCache(500_000)  # by path; about 0.1 GB when all are tars
_states: LruCache[tuple[float, FileState]] = LruCache(10_000)  # by URL: time of the request, and its answer
_opening: dict[str, threading.Lock] = {}  # by path; held while one thread opens the container


class ContainerSource(Source):
    """The images of one container, or the files that a table lists; what cannot be read is a failure.

    named: the columns of a table that the user chose. Raises SourceError when a table has no column for images or paths.
    """

    within_containers = True

    def __init__(self, path: str, named: ColumnNames = USUAL) -> None:
        super().__init__()
        self.path, self._named = path, named
        self.prefix = f"{path}::"
        if suffix(path) == ".tar":
            return
        try:
            with filesystem.as_image_errors():
                table = open_container(path, refresh=True)
                self.prefix = self._prefix(table)
                if isinstance(table, TableFile):
                    self._look_at(table)
        except ImageError:
            self.prefix = None  # the reason will be a failure

    def __iter__(self) -> Iterator[ImageFile | Failure]:
        self.passed_over = PassedOver()
        self.prefix = None  # until the end is reached: images behind damage have not vanished
        is_whole = True
        try:
            with filesystem.as_image_errors():
                container = open_container(self.path, refresh=True)
                for entry in self._entries(container):
                    is_whole = is_whole and entry.path != self.path
                    yield entry
                self.labelled_by = container.labelled_by(self._named)
        except ImageError as error:
            yield Failure.of(self.path, error)
            return
        if is_whole:
            self.prefix = self._prefix(container)

    def _prefix(self, container: Container) -> str | None:
        """Return what the paths of all images begin with; None for a table of paths, whose files lie anywhere."""
        lists_files = isinstance(container, TableFile) and container.lists_files(self._named)
        return None if lists_files else f"{container.path}::"

    def _look_at(self, table: TableFile) -> None:
        """Find out where its files lie, and which column gives labels."""
        columns = table.choose(self._named)
        if table.lists_files(self._named):
            self.lists_files = True
            self.place = common_folder(table.listed_files(self._named))
        if columns.possible_labels:
            found = " and ".join(map(repr, columns.possible_labels))
            self.label_hint = (
                f"{self.path}: expected one column of labels, found {found}; choose one with --label-column"
            )
            self.labels_unclear = True
        elif columns.label is None:
            self.label_hint = (
                f"{self.path} has no column of labels among {describe(table.schema)}; choose one with --label-column"
            )

    def _entries(self, container: Container) -> Iterator[ImageFile | Failure]:
        """Yield what a container holds or lists, without what the user excludes; an image without a split is of the source's own."""
        if isinstance(container, TableFile) and container.lists_files(self._named):
            folders_label = container.choose(self._named).label is None
            yield from list_files(container.listed_files(self._named), self, folders_label)
            return
        if isinstance(container, Tar):
            self.passed_over += container.passed_over
        split = self.own_split
        for entry in container.entries(self._named):
            if (
                self.excludes
                and isinstance(container, Tar)
                and self.excludes.cover_file(entry.path[len(self.path) + 2 :])
            ):
                self.passed_over.add(EXCLUDED)
            elif split and isinstance(entry, ImageFile) and entry.split is None:
                yield replace(entry, split=split)
            else:
                yield entry


def open_container(path: str, refresh: bool = False) -> Container:
    """Open a container as it is now. Raises ImageError when it cannot be read.

    refresh: ask a remote file for its state again.
    """
    state = _state(path, refresh)
    if (container := _current(path, state)) is not None:
        return container
    with _opening.setdefault(path, threading.Lock()):
        if (container := _current(path, state)) is not None:  # another thread was faster
            return container
        with filesystem.as_image_errors():
            container = READERS[suffix(path)](path, state)
        _opened.put(path, container, container.weight)
        return container


def read_member(path: str, member: str, mtime_ns: int | None = None) -> bytes:
    """Read an image of a container. Raises ImageError with the reason.

    A row of a table that no longer has the time `mtime_ns`, with which it was listed, may be another image by now and is refused.
    """
    with filesystem.as_image_errors():
        container = open_container(path)
        if isinstance(container, TableFile) and mtime_ns not in (None, container.state.mtime_ns):
            raise ImageError("its file has changed since its rows were listed; index it again")
        data = container.read(member)
        if not filesystem.is_url(path) and filesystem.file_state(path) != container.state:
            raise ImageError("its file changed while it was read; index it again")
        return data


def _current(path: str, state: FileState) -> Container | None:
    container = _opened.get(path)
    return container if container is not None and container.state == state else None


def _state(path: str, refresh: bool) -> FileState:
    if not filesystem.is_url(path):
        return filesystem.file_state(path)
    if not refresh and (seen := _states.get(path)) is not None and time.monotonic() - seen[0] < TRUSTED_SECONDS:
        return seen[1]
    state = filesystem.file_state(path)
    _states.put(path, (time.monotonic(), state))
    return state
