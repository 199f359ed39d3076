"""The front of the room: open a source by its name, and read any image that it lists."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from featurestore.errors import FeatureStoreError, ImageError, SourceError
from featurestore.sources import filesystem
from featurestore.sources.base import Failure, ImageFile, Source
from featurestore.sources.column_names import USUAL, ColumnNames
from featurestore.sources.containers import ContainerSource, read_member
from featurestore.sources.folders import Folder, OneFile
from featurestore.sources.formats import CONTAINER_SUFFIX, CONTAINERS, LISTS, PACKED, suffix
from featurestore.sources.huggingface import SavedDataset, is_dataset
from featurestore.sources.lists import PathList
from featurestore.sources.remote import RemoteFolder
from featurestore.system.text import describe_error

MEMBER = re.compile(rf"(.+?{CONTAINER_SUFFIX})::(.*)", re.DOTALL | re.IGNORECASE)  # a path within a container


def find(source: str | Path) -> Iterator[ImageFile | Failure]:
    """List the images of a source. Raises SourceError as `open_source` does."""
    return iter(open_source(source))


def open_source(source: str | Path, named: ColumnNames = USUAL) -> Source:
    """Open a source of any kind; see docs/reference/sources.md. Raises SourceError when it is missing or of an unknown kind.

    named: the columns of a table that the user chose.
    """
    if filesystem.is_url(str(source)):
        return _open_url(str(source), named)
    path = Path(source).expanduser()
    try:
        exists = path.exists()
    except OSError as error:
        raise SourceError(f"source {str(source)!r}: {describe_error(error)}; check the path") from error
    if not exists:
        raise SourceError(
            f"source {str(source)!r}: expected a folder of images or an image, found nothing there; check the path"
        )
    place = str(path.resolve())
    if path.is_dir():
        return SavedDataset(place, named) if is_dataset(place) else Folder(place)
    return _open_file(place, named)


def read(path: str | Path, mtime_ns: int | None = None) -> bytes:
    """Read an image whole, by any path that a source gives; thread-safe. Raises ImageError with the reason.

    A row of a table has no name of its own. Given the `mtime_ns` it was listed with, a row of a table that was written since is refused.
    """
    text = os.fspath(path)
    try:
        member = MEMBER.fullmatch(text)
        if member is None or (not filesystem.is_url(text) and os.path.lexists(text)):
            return filesystem.read_whole(text)
        return read_member(member[1], member[2], mtime_ns)
    except SourceError as error:
        raise ImageError(str(error)) from error


def is_missing(path: str) -> bool:
    """Whether a local file, or the container of an image, is known not to be there; False for a URL, which is not asked."""
    if filesystem.is_url(path):
        return False
    try:
        os.stat(path)
    except (FileNotFoundError, NotADirectoryError):
        member = MEMBER.fullmatch(path)
        return member is None or is_missing(member[1])
    except OSError:
        return False
    return False


def _open_url(url: str, named: ColumnNames) -> Source:
    files, inner = filesystem.file_system(url)
    try:
        return RemoteFolder(url) if files.info(inner)["type"] == "directory" else _open_file(url, named)
    except FileNotFoundError as error:
        raise SourceError(f"source {url!r}: expected a folder or a file, found nothing there; check the URL") from error
    except FeatureStoreError:
        raise
    except Exception as error:  # clients of object stores raise nearly everything
        raise SourceError(
            f"source {url!r}: expected a folder or a file that can be read; {describe_error(error)}"
        ) from error


def _open_file(path: str, named: ColumnNames) -> Source:
    kind = suffix(path)
    if kind in PACKED:
        raise SourceError(
            f"source {path!r}: expected images, or an uncompressed .tar; found {kind}, from which single images cannot be read; unpack it first"
        )
    if kind in CONTAINERS:
        return ContainerSource(path, named)
    return PathList(path) if kind in LISTS else OneFile(path)
