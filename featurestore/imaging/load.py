"""One image on its way to an encoder: read, decode, preprocess. Everything that turns an image into pixels calls `load`."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from featurestore.imaging import decode, guarded, preprocess
from featurestore.imaging.admission import SMALL, Admission
from featurestore.imaging.guarded import SECONDS
from featurestore.imaging.ordinary import MOST_BYTES
from featurestore.imaging.preprocess import Preprocess
from featurestore.sources import Failure, ImageFile, read

# A path or URL that `sources.read` takes, an image in memory, or the bytes of a file.
Picture: TypeAlias = str | Path | Image.Image | bytes
IsKnown: TypeAlias = Callable[[str], bool]  # of the hash of a content; called in threads


@dataclass(frozen=True, slots=True)
class Loaded:
    """An image that is ready for an encoder."""

    path: str  # empty for an image in memory
    sha256: str  # of the file's bytes; empty for an image in memory
    width: int  # in pixels, upright
    height: int
    pixels: NDArray[np.uint8]  # (size, size, 3)
    how: str = ""  # in a few words, where values were scaled or channels left out
    flat: bool = False  # of one colour, or nearly so
    small: NDArray[np.uint8] | None = (
        None  # (h, w, 3), the whole image for `quality.measure`, where it was asked for and decoded large enough
    )


@dataclass(frozen=True, slots=True)
class Known:
    """A file whose content is known by its hash. It was not decoded."""

    path: str
    sha256: str


def load(
    image: Picture | ImageFile,
    record: Preprocess,
    is_known: IsKnown | None = None,
    admission: Admission | None = None,
    seconds: float = SECONDS,
    with_small: bool = False,
) -> Loaded | Known | Failure:
    """Read, decode and preprocess one image; a file whose content `is_known` is only read. with_small: a file's `small` is made, too.

    Decoding a file ends after `seconds` at the latest; reading it does not, so that others watch its `admission`, see `pool`. Whatever goes wrong
    becomes a Failure with the reason, but for TooManyOpenFiles, which is raised.
    """
    path = path_of(image)
    admission = admission or Admission()
    try:
        if isinstance(image, Image.Image):
            decoded = decode.upright(image, record.bands)
            pixels, sha256 = preprocess.apply(decoded, record), ""
            width, height, how, small = decoded.width, decoded.height, decoded.how, None
        else:
            data = (
                image
                if isinstance(image, bytes)
                else read_admitted(path, image if isinstance(image, ImageFile) else None, admission)
            )
            sha256 = hashlib.sha256(data).hexdigest()
            if is_known is not None and is_known(sha256):
                return Known(path, sha256)
            result = guarded.pixels(data, record, admission, seconds, with_small)
            pixels, width, height, how = result.pixels, result.width, result.height, result.how
            small = result.small
        return Loaded(path, sha256, width, height, pixels, how, preprocess.is_flat(pixels), small)
    except Exception as error:
        return Failure.of(path, error)


def path_of(image: Picture | ImageFile) -> str:
    """Give the path of an image; empty for one in memory."""
    if isinstance(image, Image.Image | bytes):
        return ""
    return image.path if isinstance(image, ImageFile) else str(image)


def read_admitted(path: str, file: ImageFile | None, admission: Admission) -> bytes:
    """Read an image whole; a large one when there is memory for it and its pixels. Raises ImageError with the reason."""
    if file is not None and file.size > SMALL:
        admission.reserve(file.size + MOST_BYTES)
    admission.start_clock("read")
    return read(path, None if file is None else file.mtime_ns)
