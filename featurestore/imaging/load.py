"""One image on its way to an encoder: read, decode, preprocess. Everything that turns an image into pixels calls `load`."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from featurestore.errors import ImageError
from featurestore.imaging import decode, preprocess
from featurestore.imaging.preprocess import Preprocess
from featurestore.sources import Failure, ImageFile, read
from featurestore.system.text import describe_error

Picture: TypeAlias = str | Path | Image.Image  # a path or URL that `sources.read` takes, or an image in memory
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


@dataclass(frozen=True, slots=True)
class Known:
    """A file whose content is known by its hash. It was not decoded."""

    path: str
    sha256: str


def load(image: Picture | ImageFile, record: Preprocess, is_known: IsKnown | None = None) -> Loaded | Known | Failure:
    """Read, decode and preprocess one image; a file whose content `is_known` is only read.

    Raises nothing: whatever goes wrong becomes a Failure with the reason.
    """
    path = "" if isinstance(image, Image.Image) else image.path if isinstance(image, ImageFile) else str(image)
    try:
        if isinstance(image, Image.Image):
            sha256, decoded = "", decode.upright(image, record.bands)
        else:
            data = read(path, image.mtime_ns if isinstance(image, ImageFile) else None)
            sha256 = hashlib.sha256(data).hexdigest()
            if is_known is not None and is_known(sha256):
                return Known(path, sha256)
            decoded = decode.decode(data, record.shorter_side, record.bands)
        pixels = preprocess.apply(decoded, record)
        return Loaded(path, sha256, decoded.width, decoded.height, pixels, decoded.how, preprocess.is_flat(pixels))
    except ImageError as error:
        return Failure(path, str(error))
    except Exception as error:
        return Failure(path, describe_error(error))
