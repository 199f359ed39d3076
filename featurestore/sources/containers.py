"""Files that hold many images: opened once, kept while they stay as they are, opened anew after they changed."""

import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Protocol

from featurestore.errors import ImageError
from featurestore.sources import filesystem as access
from featurestore.sources.arrow import ArrowTable
from featurestore.sources.base import Failure, ImageFile, Source
from featurestore.sources.filesystem import State
from featurestore.sources.formats import suffix
from featurestore.sources.lists import list_places
from featurestore.sources.lru_cache import Recent
from featurestore.sources.parquet import ParquetTable
from featurestore.sources.tables import Table
from featurestore.sources.tar import Tar

TRUSTED_SECONDS = 5.0  # for which a remote file is taken to be as it was: asking costs as much as reading an image


class Container(Protocol):
    """A file of images in one state."""

    path: str
    state: State

    @property
    def weight(self) -> int: ...  # what keeping it costs, in members of a tar

    def __iter__(self) -> Iterator[ImageFile | Failure]: ...

    def read(self, member: str) -> bytes: ...


KINDS: dict[str, Callable[[str, State], Container]] = {".tar": Tar, ".parquet": ParquetTable, ".arrow": ArrowTable}

_opened: Recent[Container] = Recent(500_000)  # by path; a tenth of a gigabyte when all are tars
_looked: Recent[tuple[float, State]] = Recent(10_000)  # by URL: when, and what was seen
_opening: dict[str, threading.Lock] = {}  # by path; held while a container is opened, so that not every thread does it


class Members(Source):
    """The images of one container, or the files that a table names; what cannot be read is a failure.

    Raises SourceError when a table has no column for either.
    """

    within_containers = True

    def __init__(self, path: str) -> None:
        self.path = path
        self.prefix = f"{path}::"
        if suffix(path) != ".tar":
            try:
                self.prefix = _prefix(open_container(path, look_again=True))
            except ImageError:
                self.prefix = None  # the reason will be a failure

    def __iter__(self) -> Iterator[ImageFile | Failure]:
        self.prefix = None  # until the end is reached: what lies behind damage has not vanished
        is_whole = True
        try:
            with access.reasons():
                container = open_container(self.path, look_again=True)
                for entry in _entries(container):
                    is_whole = is_whole and entry.path != self.path
                    yield entry
        except ImageError as error:
            yield Failure(self.path, str(error))
            return
        if is_whole:
            self.prefix = _prefix(container)


def open_container(path: str, look_again: bool = False) -> Container:
    """Open a container as it is now; raises ImageError when it cannot be read, SourceError when it is a table without images."""
    state = _look(path, look_again)
    if (container := _current(path, state)) is not None:
        return container
    with _opening.setdefault(path, threading.Lock()):
        if (container := _current(path, state)) is not None:  # another thread was faster
            return container
        with access.reasons():
            container = KINDS[suffix(path)](path, state)
        _opened.put(path, container, container.weight)
        return container


def read_member(path: str, member: str, mtime_ns: int | None = None) -> bytes:
    """Read an image in a container; raises ImageError with the reason, also when it may be another image by now.

    That is a row of a table whose time is no longer `mtime_ns`, the one it was listed with.
    """
    with access.reasons():
        container = open_container(path)
        if isinstance(container, Table) and mtime_ns not in (None, container.state.mtime_ns):
            raise ImageError("its file has changed since its rows were listed; index it again")
        data = container.read(member)
        if not access.is_url(path) and access.look(path) != container.state:
            raise ImageError("its file changed while it was read; index it again")
        return data


def _current(path: str, state: State) -> Container | None:
    container = _opened.get(path)
    return container if container is not None and container.state == state else None


def _look(path: str, look_again: bool) -> State:
    if not access.is_url(path):
        return access.look(path)
    if not look_again and (seen := _looked.get(path)) is not None and time.monotonic() - seen[0] < TRUSTED_SECONDS:
        return seen[1]
    state = access.look(path)
    _looked.put(path, (time.monotonic(), state))
    return state


def _prefix(container: Container) -> str | None:
    return None if isinstance(container, Table) and container.names_files else f"{container.path}::"


def _entries(container: Container) -> Iterable[ImageFile | Failure]:
    if isinstance(container, Table) and container.names_files:
        return list_places(container.places(), container.path, folders_label=container.columns.label is None)
    return container
