"""One image at a time, within the limits: for queries, thumbnails and all else that is not a stream of files."""

import hashlib
from collections.abc import Sequence
from typing import TypeVar

from PIL import Image

from featurestore.errors import ImageError
from featurestore.imaging import decode, guarded, tasks
from featurestore.imaging.admission import Admission
from featurestore.imaging.load import Known, Loaded, Picture, load, path_of, read_admitted
from featurestore.imaging.pool import run_in_time
from featurestore.imaging.preprocess import Preprocess
from featurestore.sources import Failure, ImageFile

T = TypeVar("T")
TRIED = 64  # pixels of the picture that is decoded as a trial


def load_one(image: Picture | ImageFile, record: Preprocess, with_small: bool = False) -> Loaded | Failure:
    """Read, decode and preprocess one image, see `load`; whatever goes wrong becomes a Failure. An image in memory has no limit: it is the caller's."""
    if isinstance(image, Image.Image):
        found = load(image, record)
    else:
        found = run_in_time(
            path_of(image), lambda admission: load(image, record, None, admission, guarded.SECONDS, with_small)
        )
    assert not isinstance(found, Known)  # nothing is known here
    return found


def thumbnail(picture: Image.Image | str | bytes, side: int, bands: Sequence[int] | None = None) -> Image.Image:
    """Scale a picture, or the one at a path or in the bytes of a file, down until no side is longer than `side` pixels: upright RGB.

    bands: those to show, from 1, as an encoder reads them; None: the colours, of many bands the first. Raises ImageError.
    """
    if isinstance(picture, Image.Image):
        return tasks.scaled_down(decode.upright(picture, bands).image, side)

    def work(admission: Admission) -> tasks.Result:
        data = picture if isinstance(picture, bytes) else read_admitted(picture, None, admission)
        return guarded.thumbnail(data, side, bands, admission, guarded.SECONDS)

    return Image.fromarray(_or_error(run_in_time(path_of(picture), work)).pixels)


def check_decodes(data: bytes) -> tuple[int, int]:
    """Decode the bytes of an image, and give its width and height in pixels, upright. Raises ImageError with the reason."""
    result = _or_error(
        run_in_time("", lambda admission: guarded.thumbnail(data, TRIED, None, admission, guarded.SECONDS))
    )
    return result.width, result.height


def read_content(file: ImageFile, sha256: str) -> bytes:
    """Read an image whose content is known by its hash. Raises ImageError with the reason, also when it has another content by now."""
    data = _or_error(run_in_time(file.path, lambda admission: read_admitted(file.path, file, admission)))
    if hashlib.sha256(data).hexdigest() != sha256:
        raise ImageError("the file has changed since it was indexed; run index again")
    return data


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
