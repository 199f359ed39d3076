"""A folder tree of image files, or one file."""

import os
import stat
from collections.abc import Generator, Iterator
from dataclasses import dataclass

from featurestore.errors import ImageError, ImageUnread
from featurestore.sources import filesystem
from featurestore.sources.base import Failure, ImageFile, Labels, Source, folder_labels, unfit_name
from featurestore.sources.formats import HEAD, is_image_name, starts_as_image
from featurestore.sources.ignore import IGNORE_FILE, Excludes
from featurestore.sources.local_files import read_part
from featurestore.sources.passed_over import EXCLUDED, HIDDEN, STORE, PassedOver, unwanted
from featurestore.system.read_errors import check_open_files
from featurestore.system.text import printable

CATALOG = "catalog.duckdb"  # a folder that holds it is a store


class OneFile(Source):
    """One file or URL, whatever its name."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path

    def __iter__(self) -> Iterator[ImageFile | Failure]:
        self.passed_over = PassedOver()
        if self.excludes.cover_file(os.path.basename(self.path)):
            self.passed_over.add(EXCLUDED)
        else:
            label, split = folder_labels(self.place_folders)
            yield file_entry(self.path, (label, ()), split)


def read_ignore_file(path: str) -> str:
    """Read the patterns of an ignore file. Raises ImageError with the reason."""
    return filesystem.read_whole(path).decode("utf-8-sig", "replace")


def file_entry(path: str, labels: Labels, split: str | None) -> ImageFile | Failure:
    """Make the entry of one file or URL that was named."""
    if (failure := unfit_name(path)) is not None:
        return failure
    try:
        size, mtime_ns = filesystem.file_state(path)
        return ImageFile(path, labels[0], split, size, mtime_ns, labels[1])
    except ImageError as error:
        return Failure.of(path, error)


@dataclass(frozen=True, slots=True)
class _Level:
    """A folder that is being listed."""

    folders: list[str]  # from the source down to it
    label: str | None
    split: str | None
    excludes: Excludes
    entries: Iterator[os.DirEntry[str]]  # that are left


class Folder(Source):
    """All images of a folder tree, sorted; what cannot be read is a failure.

    Passed over are hidden files and folders, those of the system, stores, what the user excludes, files with a suffix that is not of an
    image, and files without a suffix whose first bytes are not those of an image.
    """

    def __init__(self, path: str) -> None:
        super().__init__()
        self.path = path
        self.prefix: str = path if path.endswith(os.sep) else path + os.sep

    def __iter__(self) -> Iterator[ImageFile | Failure]:
        self.passed_over = PassedOver()
        seen: set[tuple[int, int]] = set()
        levels = [(yield from self._enter(self.path, [], self.excludes, seen))]
        while levels:  # no recursion: a tree may be deeper than Python's stack
            level = levels[-1]
            filtered = bool(level.excludes)
            for entry in level.entries:
                name = entry.name
                if name.startswith("."):
                    self.passed_over.add(HIDDEN)
                elif (is_folder := _is_folder(entry)) is None:
                    yield _entry(entry, level.label, level.split)
                elif is_folder:
                    if (kind := unwanted(name)) is not None:
                        self.passed_over.add(kind)
                    elif filtered and self._is_excluded(entry, level.excludes, is_folder=True):
                        self.passed_over.add(EXCLUDED)
                    elif not self._is_listed_elsewhere(entry):
                        levels.append(
                            (yield from self._enter(entry.path, [*level.folders, name], level.excludes, seen))
                        )
                        break
                elif filtered and self._is_excluded(entry, level.excludes, is_folder=False):
                    self.passed_over.add(EXCLUDED)
                elif is_image_name(name) or ("." not in name and _starts_as_image(entry)):
                    yield _entry(entry, level.label, level.split)
                else:
                    self.passed_over.add_file(name, os.path.dirname(entry.path))
            else:
                levels.pop()

    def _enter(
        self, folder: str, folders: list[str], excludes: Excludes, seen: set[tuple[int, int]]
    ) -> Generator[Failure, None, "_Level"]:
        """Return what to list of a folder; yield a failure when it cannot be read."""
        entries = yield from self._scan(folder, seen)
        if any(entry.name == IGNORE_FILE for entry in entries):
            try:
                text = read_ignore_file(f"{folder}/{IGNORE_FILE}")
                excludes = excludes.within("".join(f"{name}/" for name in folders), text)
            except ImageUnread as error:  # what it leaves out is unknown, so nothing is listed
                yield Failure(printable(folder), f"its {IGNORE_FILE} is {error}", unread=True)
                entries = []
            except ImageError as error:
                yield Failure.of(f"{folder}/{IGNORE_FILE}", error)
        return _Level(folders, *folder_labels([*self.place_folders, *folders]), excludes, iter(entries))

    def _scan(self, folder: str, seen: set[tuple[int, int]]) -> Generator[Failure, None, list[os.DirEntry[str]]]:
        """Return the sorted entries of a folder; yield a failure when it cannot be read."""
        try:
            here = os.stat(folder)
            with os.scandir(folder) as places:
                entries = sorted(places, key=lambda entry: entry.name)
        except OSError as error:
            check_open_files(error)
            yield Failure(printable(folder), f"folder not readable: {error.strerror}")
            return []
        if (here.st_dev, here.st_ino) in seen:
            return []  # a loop of symbolic links
        if any(entry.name == CATALOG for entry in entries):
            self.passed_over.add(STORE)
            return []
        seen.add((here.st_dev, here.st_ino))
        return entries

    def _is_excluded(self, entry: os.DirEntry[str], excludes: Excludes, is_folder: bool) -> bool:
        return excludes.cover(entry.path[len(self.prefix) :], is_folder)

    def _is_listed_elsewhere(self, entry: os.DirEntry[str]) -> bool:
        """Return whether a folder is a link to a folder of this source, which is listed under its own name."""
        if not entry.is_symlink():
            return False
        place = os.path.realpath(entry.path) + os.sep
        return place.startswith(self.prefix) and os.sep + "." not in place[len(self.prefix) - 1 :]


def _is_folder(entry: os.DirEntry[str]) -> bool | None:
    """Return whether an entry is a folder; None when that cannot be told, so that nothing in it counts as gone."""
    try:
        return entry.is_dir()
    except OSError:
        return None


def _starts_as_image(entry: os.DirEntry[str]) -> bool:
    try:
        if not stat.S_ISREG(entry.stat().st_mode):
            return False  # opening a pipe would wait for a writer
        return starts_as_image(read_part(entry.path, 0, HEAD))
    except OSError:
        return True  # it will be listed as a failure


def _entry(entry: os.DirEntry[str], label: str | None, split: str | None) -> ImageFile | Failure:
    if (failure := unfit_name(entry.path)) is not None:
        return failure
    try:
        found = entry.stat()
    except OSError as error:
        return Failure.of(entry.path, error)
    if not stat.S_ISREG(found.st_mode):
        return Failure(entry.path, "not a regular file")
    return ImageFile(entry.path, label, split, found.st_size, found.st_mtime_ns)
