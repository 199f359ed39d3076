"""What is done with the bytes of an image: functions that run in this process or in a child. Only they decode bytes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from featurestore.imaging import decode, preprocess
from featurestore.imaging.decode import Decoded
from featurestore.imaging.preprocess import Preprocess
from featurestore.imaging.quality import SIDE, small_form


@dataclass(frozen=True, slots=True)
class Result:
    """What has become of an image."""

    width: int  # in pixels, upright, of the whole image
    height: int
    how: str  # in a few words, where values were scaled or channels left out
    pixels: NDArray[np.uint8]  # (H, W, 3)
    small: NDArray[np.uint8] | None = None  # (h, w, 3), of the whole image: what `quality.measure` takes


def pixels(data: bytes, record: Preprocess, with_small: bool = False) -> Result:
    """Decode and preprocess an image; with_small: also scale the whole of it down, to be measured, where it was decoded large enough.

    Raises ImageError.
    """
    decoded = decode.decode(data, record.shorter_side, record.bands)
    seen = preprocess.apply(decoded, record)
    small = _small(decoded, record, seen) if with_small else None
    return Result(decoded.width, decoded.height, decoded.how, seen, small)


def _small(decoded: Decoded, record: Preprocess, seen: NDArray[np.uint8]) -> NDArray[np.uint8] | None:
    """Scale the whole of an image down to SIDE; None for a JPEG that was decoded smaller than that, for a small encoder."""
    if max(decoded.image.size) < min(SIDE, max(decoded.width, decoded.height)):
        return None
    return seen if record.keeps(*decoded.image.size) and record.size <= SIDE else small_form(decoded.image)


def thumbnail(data: bytes, side: int, bands: Sequence[int] | None) -> Result:
    """Decode an image and scale it down until no side is longer than `side`; of bands without a meaning, show the first. Raises ImageError."""
    decoded = decode.decode(data, side, bands, preview=True)
    return Result(decoded.width, decoded.height, decoded.how, np.asarray(scaled_down(decoded.image, side)))


def size(data: bytes) -> Result:
    """Read width and height, as stored, without pixels. Raises ImageError."""
    return Result(*decode.size_of(data), "", np.empty((0, 0, 3), np.uint8))


def scaled_down(image: Image.Image, side: int) -> Image.Image:
    """Scale an image down until no side is longer than `side`."""
    return image if max(image.size) <= side else scaled(image, side, Image.Resampling.BICUBIC)


def scaled(image: Image.Image, side: int, filter: Image.Resampling) -> Image.Image:
    """Scale an image so that its longer side has `side` pixels."""
    scale = side / max(image.size)
    return image.resize((max(1, round(image.width * scale)), max(1, round(image.height * scale))), filter)
