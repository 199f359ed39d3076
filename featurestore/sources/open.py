"""The front of the room: open a source by its name, and read any image that it lists."""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from featurestore.errors import FeatureStoreError, ImageError, SourceError, TooManyOpenFiles
from featurestore.sources import filesystem
from featurestore.sources.base import Failure, ImageFile, Source
from featurestore.sources.column_names import USUAL, ColumnNames
from featurestore.sources.containers import ContainerSource, read_member
from featurestore.sources.folders import CATALOG, Folder, OneFile
from featurestore.sources.formats import (
    CONTAINER_SUFFIX,
    CONTAINERS,
    HEAD,
    IMAGE_SUFFIXES,
    LISTS,
    NEEDS,
    PACKED,
    TABLES,
    starts_as_image,
    suffix,
)
from featurestore.sources.http import as_local_error
from featurestore.sources.huggingface import SavedDataset, is_dataset
from featurestore.sources.ignore import Excludes, IgnoreRules
from featurestore.sources.lists import PathList
from featurestore.sources.places import file_split, place_folders
from featurestore.sources.remote import RemoteFolder
from featurestore.system.read_errors import check_open_files
from featurestore.system.text import as_argument, describe_error

MEMBER = re.compile(rf"(.+?{CONTAINER_SUFFIX})::(.*)", re.DOTALL | re.IGNORECASE)  # a path within a container


NOT_IMAGES = "expected a folder, images, a list (.txt), a .tar, a .parquet or a folder of Hugging Face datasets"


def find(source: str | Path) -> Iterator[ImageFile | Failure]:
    """List the images of a source. Raises SourceError as `open_source` does."""
    return iter(open_source(source))


def open_source(source: str | Path, exclude: Sequence[str] = (), named: ColumnNames = USUAL) -> Source:
    """Open a source of any kind; see docs/reference/sources.md. Raises SourceError when it is missing or of an unknown kind.

    exclude: patterns of .gitignore's form, of what to leave out of folders, lists and tars. named: the columns of a table that the user chose.
    """
    [opened] = open_sources([(source, exclude)], named)
    return opened


def open_sources(sources: Iterable[tuple[str | Path, Sequence[str]]], named: ColumnNames = USUAL) -> list[Source]:
    """Open the sources of one run, each with its patterns; those that may hold others come first. Raises SourceError as `open_source`."""
    opened = [_open(source, IgnoreRules(exclude), named) for source, exclude in sources]
    places = {source.place for source in opened}
    folders = {place: place_folders(place, places) for place in places}
    for source in opened:
        source.place_folders = folders[source.place]
    return sorted(opened, key=lambda source: source.place.count("/"))


def _open(source: str | Path, exclude: IgnoreRules, named: ColumnNames) -> Source:
    name = str(source) if filesystem.is_url(str(source)) else os.path.abspath(os.path.expanduser(source))
    opened = _open_kind(source, named)
    is_folder = isinstance(opened, (Folder, RemoteFolder, SavedDataset))
    opened.place = opened.place or (name.rstrip("/") if is_folder else os.path.dirname(name))
    opened.file_split = file_split(name) if isinstance(opened, (ContainerSource, PathList)) else None
    opened.excludes = Excludes(exclude)
    return opened


def _open_kind(source: str | Path, named: ColumnNames) -> Source:
    if filesystem.is_url(str(source)):
        return _open_url(str(source), named)
    path = Path(source).expanduser()
    try:
        exists = path.exists()
    except OSError as error:
        check_open_files(error)
        raise SourceError(f"source {str(source)!r}: {describe_error(error)}; check the path") from error
    if not exists:
        raise SourceError(
            f"source {str(source)!r}: expected a folder of images or an image, found nothing there; check the path"
        )
    place = str(path.resolve())
    if path.is_dir():
        if (path / CATALOG).exists():
            raise SourceError(
                f"source {str(source)!r}: expected images, found a store; the store comes first: featurestore index {as_argument(source)} SOURCE"
            )
        return SavedDataset(place, named) if is_dataset(place) else Folder(place)
    if not path.is_file():
        raise SourceError(f"source {str(source)!r}: expected a folder or a file, found a pipe, a socket or a device")
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
    except TooManyOpenFiles:
        raise
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
    except ValueError:  # no file can have this name
        return True
    except OSError:
        return False
    return False


def _open_url(url: str, named: ColumnNames) -> Source:
    files, inner = filesystem.file_system(url)
    try:
        kind = files.info(inner)["type"]
        if kind == "other":
            raise SourceError(f"source {url!r}: expected a folder or a file, found a pipe, a socket or a device")
        return RemoteFolder(url) if kind == "directory" else _open_file(url, named)
    except FeatureStoreError:
        raise
    except Exception as error:  # clients of object stores raise nearly everything
        found = as_local_error(error)
        if isinstance(found, FileNotFoundError):
            raise SourceError(
                f"source {url!r}: expected a folder or a file, found nothing there; check the URL"
            ) from error
        raise SourceError(
            f"source {url!r}: expected a folder or a file that can be read; {describe_error(found)}"
        ) from error


def _open_file(path: str, named: ColumnNames) -> Source:
    kind = suffix(path)
    if kind in PACKED:
        raise SourceError(
            f"source {path!r}: expected images, or an uncompressed .tar; found {kind}, from which single images cannot be read; unpack it first"
        )
    if kind in CONTAINERS:
        return ContainerSource(path, named)
    if kind in LISTS:
        return PathList(path)
    if kind not in IMAGE_SUFFIXES:
        _check_image(path, kind)
    return OneFile(path)


def _check_image(path: str, kind: str) -> None:
    """Raise SourceError for a file that has neither the suffix of an image nor begins like one."""
    if kind in NEEDS:
        package, extra = NEEDS[kind]
        raise SourceError(
            f"source {path!r}: reading {kind} needs the package {package}; to install it: pip install 'featurestore[{extra}]'"
        )
    try:
        if starts_as_image(filesystem.read_span(path, 0, HEAD)):
            return
    except ImageError as error:
        raise SourceError(f"source {path!r}: {error}; check the path") from error
    found = f"a {kind} file" if kind else "another file"
    labels = "; labels from a file are given by --labels FILE, beside the folder of the images" * (kind in TABLES)
    raise SourceError(f"source {path!r}: {NOT_IMAGES}; found {found}{labels}")
