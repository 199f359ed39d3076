"""What a relative path in a file means: a path beside that file, or else one in the current folder."""

import os
from pathlib import Path

from featurestore.sources.filesystem import is_url


def absolute_paths(path: str, folder: str | Path) -> list[str]:
    """Return the absolute paths that `path` may mean in a file that lies in `folder`, likeliest first."""
    return [os.path.abspath(os.path.join(folder, os.path.expanduser(path))), os.path.abspath(path)]


def resolved_paths(path: str, folder: str | Path) -> list[str]:
    """Return the same paths with symbolic links followed."""
    return [os.path.realpath(candidate) for candidate in absolute_paths(path, folder)]


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
