"""A text file of paths or URLs, one a line."""

import os
from collections.abc import Iterable, Iterator

from featurestore.errors import ImageError, SourceError
from featurestore.sources import filesystem as access
from featurestore.sources.base import Failure, ImageFile, Source
from featurestore.sources.folders import file_entry


class PathList(Source):
    """The files that a .txt or .lst names; blank lines and those that begin with # are passed over.

    Raises SourceError when the list is no text.
    """

    def __init__(self, path: str) -> None:
        try:
            self.lines = numbered_lines(access.read_whole(path))
        except ImageError as error:
            raise SourceError(f"list {path!r}: expected a text file of paths; {error}") from error
        except ValueError as error:
            raise SourceError(
                f"list {path!r}: expected paths in UTF-8, one a line; {error}; save the list as UTF-8"
            ) from error
        self.path = path

    def __iter__(self) -> Iterator[ImageFile | Failure]:
        return list_places(((line, None, None) for _, line in self.lines), self.path, folders_label=True)


def numbered_lines(data: bytes) -> list[tuple[int, str]]:
    """The lines of a list with their numbers, without blank ones and those that begin with #. Raises ValueError when it is not UTF-8."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = error.object.count(b"\n", 0, error.start)
        raise ValueError(f"line {before + 1} is not UTF-8") from error
    lines = ((number, line.strip()) for number, line in enumerate(text.split("\n"), start=1))
    return [(number, line) for number, line in lines if line and not line.startswith("#")]


def list_places(
    places: Iterable[tuple[str | None, str | None, str | None]], origin: str, folders_label: bool
) -> Iterator[ImageFile | Failure]:
    """List files by path, label and split, each once; when `folders_label`, the folder of a file gives it its label.

    Paths are relative to the folder of `origin`, or else to the current one.
    """
    folder = os.path.dirname(origin)
    seen = set()
    for row, (name, label, split) in enumerate(places):
        if not name:
            yield Failure(f"{origin}::{row}", "the row names no file")
        elif (path := locate(name, folder)) not in seen:
            seen.add(path)
            yield file_entry(path, parent_name(path) if folders_label else label, split)


def locate(name: str, folder: str) -> str:
    """The absolute path, or URL, of a file named beside others: within `folder`, or else in the current one."""
    if access.is_url(name):
        return name
    if access.is_url(folder):
        return f"{folder}/{name}"
    beside = os.path.abspath(os.path.join(folder, os.path.expanduser(name)))
    here = os.path.abspath(name)
    return here if not os.path.lexists(beside) and os.path.lexists(here) else beside


def parent_name(path: str) -> str | None:
    """Name of the folder that holds a file."""
    return os.path.basename(os.path.dirname(path)) or None
