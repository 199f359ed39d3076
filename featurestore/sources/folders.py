"""A folder tree of image files, or one file."""

import os
import stat
from collections.abc import Generator, Iterator

from featurestore.errors import ImageError
from featurestore.sources import filesystem as access
from featurestore.sources.base import Failure, ImageFile, Source, folder_labels, unfit_name
from featurestore.sources.formats import CONTAINERS, HEAD, is_image_name, starts_as_image, suffix
from featurestore.system.text import describe, printable


class OneFile(Source):
    """One file or URL, whatever its name."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __iter__(self) -> Iterator[ImageFile | Failure]:
        yield file_entry(self.path, None, None)


def file_entry(path: str, label: str | None, split: str | None) -> ImageFile | Failure:
    """The entry of one file or URL that something else names."""
    if (failure := unfit_name(path)) is not None:
        return failure
    try:
        return ImageFile(path, label, split, *access.look(path))
    except ImageError as error:
        return Failure(path, str(error))


class PassedOver:
    """Containers that lie in a folder: they are no images, and sources only when they are named."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._first: dict[str, str] = {}  # folder of the first one

    def add(self, folder: str, kind: str) -> None:
        self._counts[kind] = self._counts.get(kind, 0) + 1
        self._first.setdefault(kind, folder)

    def hint(self) -> str:
        """What to name instead of the folder; empty when nothing was passed over."""
        return "; ".join(
            f"it holds {count} {kind} file{'s' * (count > 1)}: name {'them' if count > 1 else 'it'}, {self._first[kind]}/*{kind}"
            for kind, count in self._counts.items()
        )


class Folder(Source):
    """All images of a folder tree, sorted; unreadable places are failures.

    Hidden files, files with a suffix that no image has or without one that do not begin as images do, and stores are
    passed over.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.prefix: str = path if path.endswith(os.sep) else path + os.sep

    def __iter__(self) -> Iterator[ImageFile | Failure]:
        passed_over = PassedOver()
        seen: set[tuple[int, int]] = set()
        first = yield from _look_into(self.path, seen)
        levels: list[tuple[list[str], Iterator[os.DirEntry[str]]]] = [([], first)]  # no recursion: a tree may be deeper
        while levels:
            above, entries = levels[-1]
            label, split = folder_labels(above)
            for entry in entries:
                name = entry.name
                if name.startswith("."):
                    continue
                if _is_folder(entry):
                    if not self._lists_elsewhere(entry):
                        inner = yield from _look_into(entry.path, seen)
                        levels.append(([*above, name], inner))
                        break
                elif is_image_name(name) or ("." not in name and _starts_as_image(entry)):
                    yield _entry(entry, label, split)
                elif (kind := suffix(name)) in CONTAINERS:
                    passed_over.add(os.path.dirname(entry.path), kind)
            else:
                levels.pop()
        self.hint = passed_over.hint()

    def _lists_elsewhere(self, entry: os.DirEntry[str]) -> bool:
        """Whether a folder is a link to one that is listed under its own name, which says its label."""
        if not entry.is_symlink():
            return False
        place = os.path.realpath(entry.path) + os.sep
        return place.startswith(self.prefix) and os.sep + "." not in place[len(self.prefix) - 1 :]


def _look_into(folder: str, seen: set[tuple[int, int]]) -> Generator[Failure, None, Iterator[os.DirEntry[str]]]:
    """Yield the failure of a folder that cannot be read; return what lies in it, sorted."""
    try:
        here = os.stat(folder)
        with os.scandir(folder) as places:
            entries = sorted(places, key=lambda entry: entry.name)
    except OSError as error:
        yield Failure(printable(folder), f"folder not readable: {error.strerror}")
        return iter(())
    if (here.st_dev, here.st_ino) in seen or any(entry.name == "catalog.duckdb" for entry in entries):
        return iter(())  # a loop of symbolic links, or a store that lies within its own source
    seen.add((here.st_dev, here.st_ino))
    return iter(entries)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False  # the entry itself will be a failure with its reason


def _starts_as_image(entry: os.DirEntry[str]) -> bool:
    try:
        if not stat.S_ISREG(entry.stat().st_mode):
            return False  # to open a pipe is to wait for its other end
        with open(entry.path, "rb") as file:
            return starts_as_image(file.read(HEAD))
    except OSError:
        return True  # it will be a failure with its reason


def _entry(entry: os.DirEntry[str], label: str | None, split: str | None) -> ImageFile | Failure:
    if (failure := unfit_name(entry.path)) is not None:
        return failure
    try:
        found = entry.stat()
    except OSError as error:
        return Failure(entry.path, describe(error))
    if not stat.S_ISREG(found.st_mode):
        return Failure(entry.path, "not a regular file")
    return ImageFile(entry.path, label, split, found.st_size, found.st_mtime_ns)
