"""A text file of paths or URLs, one a line."""

import os
from collections.abc import Iterable, Iterator

from featurestore.errors import ImageError, SourceError
from featurestore.sources import access
from featurestore.sources.entry import Failure, ImageFile, Source
from featurestore.sources.folders import file_entry


class PathList(Source):
    """The files that a .txt or .lst names; blank lines and those that begin with # are passed over.

    Raises SourceError when the list is no text.
    """

    def __init__(self, path: str) -> None:
        try:
            text = access.read_whole(path).decode("utf-8-sig")
        except ImageError as error:
            raise SourceError(f"list {path!r}: expected a text file of paths; {error}") from error
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            raise SourceError(
                f"list {path!r}: expected paths in UTF-8, one a line; line {line} is not UTF-8; save the list as UTF-8"
            ) from error
        self.path = path
        self.lines = [line.strip() for line in text.split("\n")]

    def __iter__(self) -> Iterator[ImageFile | Failure]:
        named = (line for line in self.lines if line and not line.startswith("#"))
        return list_places(((line, None, None) for line in named), self.path, folders_label=True)


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
