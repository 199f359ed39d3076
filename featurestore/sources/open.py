"""What a source is, by its name and what lies there."""

from collections.abc import Iterator
from pathlib import Path

from featurestore.errors import FeatureStoreError, SourceError
from featurestore.sources import filesystem as access
from featurestore.sources.base import Failure, ImageFile, Source
from featurestore.sources.containers import Members
from featurestore.sources.folders import Folder, OneFile
from featurestore.sources.formats import CONTAINERS, LISTS, PACKED, suffix
from featurestore.sources.huggingface import SavedDataset, is_dataset
from featurestore.sources.lists import PathList
from featurestore.sources.remote import RemoteFolder
from featurestore.system.text import describe


def find(source: str | Path) -> Iterator[ImageFile | Failure]:
    """List the images of a source; raises SourceError as `open_source` does."""
    return iter(open_source(source))


def open_source(source: str | Path) -> Source:
    """Open whatever images come from: see docs/reference/sources.md. Raises SourceError when it is missing or not understood."""
    if access.is_url(str(source)):
        return _open_url(str(source))
    path = Path(source).expanduser()
    try:
        is_there = path.exists()
    except OSError as error:
        raise SourceError(f"source {str(source)!r}: {describe(error)}; check the path") from error
    if not is_there:
        raise SourceError(
            f"source {str(source)!r}: expected a folder of images or an image, found nothing there; check the path"
        )
    place = str(path.resolve())
    if path.is_dir():
        return SavedDataset(place) if is_dataset(place) else Folder(place)
    return _open_file(place)


def _open_url(url: str) -> Source:
    files, inner = access.file_system(url)
    try:
        return RemoteFolder(url) if files.info(inner)["type"] == "directory" else _open_file(url)
    except FileNotFoundError as error:
        raise SourceError(f"source {url!r}: expected a folder or a file, found nothing there; check the URL") from error
    except FeatureStoreError:
        raise
    except Exception as error:  # clients of object stores raise nearly everything
        raise SourceError(f"source {url!r}: expected a folder or a file that can be read; {describe(error)}") from error


def _open_file(path: str) -> Source:
    kind = suffix(path)
    if kind in PACKED:
        raise SourceError(
            f"source {path!r}: expected images, or an uncompressed .tar; found {kind}, of which no image can be read alone; unpack it first"
        )
    if kind in CONTAINERS:
        return Members(path)
    return PathList(path) if kind in LISTS else OneFile(path)
