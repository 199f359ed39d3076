"""A text file of paths or URLs, one per line."""

import os
import re
from collections.abc import Iterable, Iterator

from featurestore.errors import ImageError, SourceError
from featurestore.sources import filesystem
from featurestore.sources.base import UNLABELLED, Failure, ImageFile, Labels, Source
from featurestore.sources.folders import file_entry
from featurestore.sources.relative_paths import locate

LINE_END = re.compile(r"\r\n?|\n")


class PathList(Source):
    """The files in a .txt or .lst; blank lines and lines that begin with # are skipped.

    Raises SourceError when the list is not UTF-8 text.
    """

    def __init__(self, path: str) -> None:
        try:
            self.lines = numbered_lines(filesystem.read_whole(path))
        except ImageError as error:
            raise SourceError(f"list {path!r}: expected a text file of paths; {error}") from error
        except ValueError as error:
            raise SourceError(
                f"list {path!r}: expected paths in UTF-8, one per line; {error}; save the list as UTF-8"
            ) from error
        self.path = path

    def __iter__(self) -> Iterator[ImageFile | Failure]:
        return list_files(((line, UNLABELLED, None) for _, line in self.lines), self.path, folders_label=True)


def numbered_lines(data: bytes) -> list[tuple[int, str]]:
    """Return the lines of a list with their numbers, without blank lines and comments. Raises ValueError when it is not UTF-8."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = len(LINE_END.findall(error.object[: error.start].decode(errors="ignore")))
        raise ValueError(f"line {before + 1} is not UTF-8") from error
    lines = ((number, line.strip()) for number, line in enumerate(LINE_END.split(text), start=1))
    return [(number, line) for number, line in lines if line and not line.startswith("#")]


def list_files(
    places: Iterable[tuple[str | None, Labels, str | None]], origin: str, folders_label: bool
) -> Iterator[ImageFile | Failure]:
    """List files given by path, labels and split, each file once; with `folders_label` the label is the name of its folder.

    Paths may be relative to the folder of `origin`, or to the current one.
    """
    folder = os.path.dirname(origin)
    seen = set()
    for row, (name, labels, split) in enumerate(places):
        if not name:
            yield Failure(f"{origin}::{row}", "the row has no path")
        elif (path := locate(name, folder)) not in seen:
            seen.add(path)
            yield file_entry(path, (parent_name(path), ()) if folders_label else labels, split)


def parent_name(path: str) -> str | None:
    """Return the name of the folder that a file is in."""
    return os.path.basename(os.path.dirname(path)) or None
