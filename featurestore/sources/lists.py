"""A text file of paths or URLs, one per line."""

import os
import re
from collections.abc import Iterable, Iterator
from itertools import takewhile
from typing import NamedTuple

from featurestore.errors import ImageError, SourceError
from featurestore.sources import filesystem
from featurestore.sources.base import UNLABELLED, Failure, ImageFile, Labels, Source, folder_labels
from featurestore.sources.folders import file_entry
from featurestore.sources.passed_over import EXCLUDED, PassedOver
from featurestore.sources.relative_paths import locate
from featurestore.system.text import printable

LONGEST = 1 << 15  # characters of a line; systems and servers take no longer paths
LINE_END = re.compile(r"\r\n?|\n")


class PathList(Source):
    """The files in a .txt or .lst; blank lines and lines that begin with # are skipped.

    Raises SourceError when the list is not UTF-8 text.
    """

    lists_files = True

    def __init__(self, path: str) -> None:
        try:
            self.lines = numbered_lines(filesystem.read_whole(path))
        except ImageError as error:
            raise SourceError(f"list {path!r}: expected a text file of paths; {error}") from error
        except ValueError as error:
            raise SourceError(
                f"list {path!r}: expected paths in UTF-8, one per line; {error}; save the list as UTF-8"
            ) from error
        super().__init__()
        self.path = path
        folder = os.path.dirname(path)
        self._files = [ListedFile(locate(line, folder)) for _, line in self.lines]
        self.place = common_folder(self._files)

    def __iter__(self) -> Iterator[ImageFile | Failure]:
        self.passed_over = PassedOver()
        return list_files(self._files, self)


def numbered_lines(data: bytes) -> list[tuple[int, str]]:
    """Return the lines of a list with their numbers, without blank lines and comments. Raises ValueError when it is not UTF-8, or a line is too long."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = len(LINE_END.findall(error.object[: error.start].decode(errors="ignore")))
        raise ValueError(f"line {before + 1} is not UTF-8") from error
    if len(text) > LONGEST and (longest := max(map(len, LINE_END.split(text)))) > LONGEST:
        raise ValueError(f"a line of {longest:,} characters")
    lines = ((number, line.strip()) for number, line in enumerate(LINE_END.split(text), start=1))
    return [(number, line) for number, line in lines if line and not line.startswith("#")]


class ListedFile(NamedTuple):
    """What a list or a table says about one file."""

    path: str | None  # absolute, or a URL; None when the row has none
    labels: Labels = UNLABELLED
    split: str | None = None


def common_folder(files: Iterable[ListedFile]) -> str:
    """Return the deepest folder that holds all files."""
    folders = [file.path.split("/")[:-1] for file in files if file.path]
    if not folders:
        return ""
    pairs = zip(min(folders), max(folders), strict=False)
    return "/".join(one for one, _ in takewhile(lambda pair: pair[0] == pair[1], pairs))


def list_files(
    files: Iterable[ListedFile], source: Source, folders_label: bool = True
) -> Iterator[ImageFile | Failure]:
    """List files, each once, as their common folder `source.place` would; with `folders_label` labels come from the folders.

    A split of the row comes first, then one that the list is named after, then one of the folders.
    """
    seen = set()
    for row, (path, labels, split) in enumerate(files):
        if not path:
            yield Failure(f"{source.path}::{row}", "the row has no path")
        elif not filesystem.may_name(source.path, path):
            yield Failure(
                printable(path), "a list behind a URL may name only files beside it, on its service or on the web"
            )
        elif path not in seen:
            seen.add(path)
            below = path.removeprefix(source.place).removeprefix("/")
            if source.excludes and source.excludes.cover_file(below):
                source.passed_over.add(EXCLUDED)
                continue
            folder_label, folder_split = folder_labels([*source.place_folders, *below.split("/")[:-1]])
            yield file_entry(
                path, (folder_label, ()) if folders_label else labels, split or source.file_split or folder_split
            )
