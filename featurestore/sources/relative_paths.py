"""What a relative path in a file means: a path beside that file, or else one in the current folder, or else one in a source."""

import os
import posixpath
from collections.abc import Iterator, Sequence
from pathlib import Path

from featurestore.sources.filesystem import is_url

MOST_SOURCES = 100  # below which a path is looked for


def absolute_paths(path: str, folder: str | Path) -> list[str]:
    """Return the absolute paths that `path` may mean in a file that lies in `folder`, likeliest first."""
    return [os.path.abspath(os.path.join(folder, os.path.expanduser(path))), os.path.abspath(path)]


def resolved_paths(path: str, folder: str | Path) -> list[str]:
    """Return the same paths with symbolic links followed."""
    return [os.path.realpath(candidate) for candidate in absolute_paths(path, folder)]


def cleaned(path: str) -> str:
    """Return a path as Windows writes it with slashes, and without blanks around."""
    return path.strip().replace("\\", "/")


def below_sources(folder: str, sources: Sequence[str]) -> list[str]:
    """Return the starts of paths that a relative folder may mean: in a source, in a tar that is one, or beside a source."""

    def starts() -> Iterator[str]:
        inside = posixpath.normpath(folder) if folder else "."
        inside = "" if inside == "." else f"{inside}/"
        for source in sources[:MOST_SOURCES]:
            yield from (
                f"{source.rstrip('/')}/{inside}",
                f"{source}::{inside}",
                f"{source.rpartition('/')[0]}/{inside}",
            )

    return list(starts()) if not os.path.isabs(folder) and not is_url(folder) else []


def locate(path: str, folder: str | Path) -> str:
    """Return the absolute path, or URL, of a file that is named in a file in `folder`, which may be a URL too.

    Of a place within a container, such as shard.tar::a.jpg, the container is located.
    """
    if is_url(path):
        return path
    if is_url(str(folder)):
        return f"{folder}/{path}"
    container, inside, member = path.partition("::")
    beside, here = absolute_paths(path, folder)
    for candidate in (beside, here):
        if os.path.lexists(candidate):
            return candidate
    return locate(container, folder) + inside + member if inside else beside
