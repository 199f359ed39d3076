"""One image at a time, within the limits: for queries, thumbnails and all else that is not a stream of files."""

from collections.abc import Sequence
from typing import TypeVar

from PIL import Image

from featurestore.errors import ImageError
from featurestore.imaging import decode, guarded, tasks
from featurestore.imaging.load import Known, Loaded, Picture, load, read_admitted
from featurestore.imaging.pool import run_in_time
from featurestore.imaging.preprocess import Preprocess
from featurestore.sources import Failure, ImageFile

T = TypeVar("T")


def load_one(image: Picture | ImageFile, record: Preprocess, with_small: bool = False) -> Loaded | Failure:
    """Read, decode and preprocess one image, see `load`; whatever goes wrong becomes a Failure. An image in memory has no limit: it is the caller's."""
    if isinstance(image, Image.Image):
        found = load(image, record)
    else:
        path = image.path if isinstance(image, ImageFile) else str(image)
        found = run_in_time(path, lambda admission: load(image, record, None, admission, guarded.SECONDS, with_small))
    assert not isinstance(found, Known)  # nothing is known here
    return found


def thumbnail(picture: Image.Image | str, side: int, bands: Sequence[int] | None = None) -> Image.Image:
    """Scale a picture, or the one at a path, down until no side is longer than `side` pixels: upright RGB.

    bands: those to show, from 1, as an encoder reads them; None: the colours, of many bands the first. Raises ImageError.
    """
    if isinstance(picture, Image.Image):
        return tasks.scaled_down(decode.upright(picture, bands).image, side)
    result = _or_error(
        run_in_time(
            picture,
            lambda admission: guarded.thumbnail(
                read_admitted(picture, None, admission), side, bands, admission, guarded.SECONDS
            ),
        )
    )
    return Image.fromarray(result.pixels)


def size_of(file: ImageFile) -> tuple[int, int]:
    """Read width and height of an image in pixels, as stored. Raises ImageError with the reason."""
    result = _or_error(
        run_in_time(
            file.path,
            lambda admission: guarded.size(read_admitted(file.path, file, admission), admission, guarded.SECONDS),
        )
    )
    return result.width, result.height


def _or_error(found: T | Failure) -> T:
    if isinstance(found, Failure):
        raise ImageError(found.reason)
    return found
