"""What is done with the bytes of an image: functions that run in this process or in a child. Only they decode bytes."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from featurestore.imaging import decode, preprocess
from featurestore.imaging.preprocess import Preprocess


@dataclass(frozen=True, slots=True)
class Result:
    """What has become of an image."""

    width: int  # in pixels, upright, of the whole image
    height: int
    how: str  # in a few words, where values were scaled or channels left out
    pixels: NDArray[np.uint8]  # (H, W, 3)


def pixels(data: bytes, record: Preprocess) -> Result:
    """Decode and preprocess an image. Raises ImageError."""
    decoded = decode.decode(data, record.shorter_side, record.bands)
    return Result(decoded.width, decoded.height, decoded.how, preprocess.apply(decoded, record))


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
