"""A folder tree of image files, or one file."""

import os
import stat
from collections.abc import Generator, Iterator

from featurestore.errors import ImageError
from featurestore.sources import filesystem
from featurestore.sources.base import UNLABELLED, Failure, ImageFile, Labels, Source, folder_labels, unfit_name
from featurestore.sources.formats import CONTAINERS, HEAD, is_image_name, starts_as_image, suffix
from featurestore.system.text import describe_error, printable


class OneFile(Source):
    """One file or URL, whatever its name."""

    def __init__(self, path: str) -> None:
        self.path = path

    def __iter__(self) -> Iterator[ImageFile | Failure]:
        yield file_entry(self.path, UNLABELLED, None)


def file_entry(path: str, labels: Labels, split: str | None) -> ImageFile | Failure:
    """Make the entry of one file or URL that was named."""
    if (failure := unfit_name(path)) is not None:
        return failure
    try:
        size, mtime_ns = filesystem.file_state(path)
        return ImageFile(path, labels[0], split, size, mtime_ns, labels[1])
    except ImageError as error:
        return Failure(path, str(error))


class SkippedContainers:
    """Containers in a folder: they are not images, and become sources only when they are named."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._first: dict[str, str] = {}  # folder of the first one

    def add(self, folder: str, kind: str) -> None:
        self._counts[kind] = self._counts.get(kind, 0) + 1
        self._first.setdefault(kind, folder)

    def hint(self) -> str:
        """Say what to name instead of the folder; empty when nothing was skipped."""
        return "; ".join(
            f"it holds {count} {kind} file{'s' * (count > 1)}: name {'them' if count > 1 else 'it'}, {self._first[kind]}/*{kind}"
            for kind, count in self._counts.items()
        )


class Folder(Source):
    """All images of a folder tree, sorted; what cannot be read is a failure.

    Skipped are hidden files and folders, stores, files with a suffix that is not of an image, and files without a suffix whose first bytes
    are not those of an image.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.prefix: str = path if path.endswith(os.sep) else path + os.sep

    def __iter__(self) -> Iterator[ImageFile | Failure]:
        skipped = SkippedContainers()
        seen: set[tuple[int, int]] = set()
        first = yield from _scan(self.path, seen)
        levels: list[tuple[list[str], Iterator[os.DirEntry[str]]]] = [
            ([], first)
        ]  # no recursion: a tree may be deeper than Python's stack
        while levels:
            above, entries = levels[-1]
            label, split = folder_labels(above)
            for entry in entries:
                name = entry.name
                if name.startswith("."):
                    continue
                if _is_folder(entry):
                    if not self._is_listed_elsewhere(entry):
                        inner = yield from _scan(entry.path, seen)
                        levels.append(([*above, name], inner))
                        break
                elif is_image_name(name) or ("." not in name and _starts_as_image(entry)):
                    yield _entry(entry, label, split)
                elif (kind := suffix(name)) in CONTAINERS:
                    skipped.add(os.path.dirname(entry.path), kind)
            else:
                levels.pop()
        self.hint = skipped.hint()

    def _is_listed_elsewhere(self, entry: os.DirEntry[str]) -> bool:
        """Return whether a folder is a link to a folder of this source, which is listed under its own name."""
        if not entry.is_symlink():
            return False
        place = os.path.realpath(entry.path) + os.sep
        return place.startswith(self.prefix) and os.sep + "." not in place[len(self.prefix) - 1 :]


def _scan(folder: str, seen: set[tuple[int, int]]) -> Generator[Failure, None, Iterator[os.DirEntry[str]]]:
    """Return the sorted entries of a folder; yield a failure when it cannot be read."""
    try:
        here = os.stat(folder)
        with os.scandir(folder) as places:
            entries = sorted(places, key=lambda entry: entry.name)
    except OSError as error:
        yield Failure(printable(folder), f"folder not readable: {error.strerror}")
        return iter(())
    if (here.st_dev, here.st_ino) in seen or any(entry.name == "catalog.duckdb" for entry in entries):
        return iter(())  # a loop of symbolic links, or a store inside its own source
    seen.add((here.st_dev, here.st_ino))
    return iter(entries)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False  # it will be listed as a failure


def _starts_as_image(entry: os.DirEntry[str]) -> bool:
    try:
        if not stat.S_ISREG(entry.stat().st_mode):
            return False  # opening a pipe would wait for a writer
        with open(entry.path, "rb") as file:
            return starts_as_image(file.read(HEAD))
    except OSError:
        return True  # it will be listed as a failure


def _entry(entry: os.DirEntry[str], label: str | None, split: str | None) -> ImageFile | Failure:
    if (failure := unfit_name(entry.path)) is not None:
        return failure
    try:
        found = entry.stat()
    except OSError as error:
        return Failure(entry.path, describe_error(error))
    if not stat.S_ISREG(found.st_mode):
        return Failure(entry.path, "not a regular file")
    return ImageFile(entry.path, label, split, found.st_size, found.st_mtime_ns)
