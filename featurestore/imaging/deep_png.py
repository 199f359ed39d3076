"""The samples of PNG files with 16 bits a channel, of which Pillow keeps the upper eight."""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from featurestore.imaging.samples import Samples

SIGNATURE = b"\x89PNG\r\n\x1a\n"
GREY, RGB, GREY_ALPHA, RGB_ALPHA = 0, 2, 4, 6  # color types
# How to make Pillow return the lower bytes of the samples: it takes either byte of a pair by the order it assumes.
LOWER_BYTES = {RGB: "RGB;16L", RGB_ALPHA: "RGBA;16L"}
FIRST_CHUNK = 33  # behind the signature and the header
OPAQUE = 65535


def is_deep(data: bytes) -> bool:
    """Whether these are the bytes of a PNG with 16 bits a channel."""
    return data.startswith(SIGNATURE) and data[24:25] == b"\x10" and len(data) > FIRST_CHUNK


def read_samples(data: bytes, image: Image.Image) -> Samples:
    """Read the samples of an opened PNG from its bytes. Raises what Pillow raises for damaged ones."""
    kind = data[25]
    values = _values(data, image, kind)
    alpha = kind in (GREY_ALPHA, RGB_ALPHA)
    key = image.info.get("transparency")  # the colour that is transparent
    if key is not None and not alpha:
        alpha = True
        opaque = np.any(values != np.array(key, np.uint16), axis=2, keepdims=True)
        values = np.concatenate([values, opaque * np.uint16(OPAQUE)], axis=2)
    return Samples(values, alpha, stated=_stated(data))


def _values(data: bytes, image: Image.Image, kind: int) -> NDArray[np.uint16]:
    if kind == GREY:
        return np.asarray(image).astype(np.uint16)[..., None]
    if kind == GREY_ALPHA:  # four bytes a pixel, as in 8-bit RGBA
        return np.ascontiguousarray(_bytes(data, "RGBA")).view(">u2").astype(np.uint16)
    values = np.empty((image.height, image.width, len(image.getbands())), "<u2")
    places = values.view(np.uint8)  # two for each value, the lower byte first
    places[..., 1::2] = np.asarray(image)
    places[..., 0::2] = _bytes(data, LOWER_BYTES[kind])
    return values.astype(np.uint16, copy=False)


def _bytes(data: bytes, raw_mode: str) -> NDArray[np.uint8]:
    """Decode a PNG as if its pixels had another layout of the same length."""
    with Image.open(io.BytesIO(data), formats=["PNG"]) as image:
        image.tile = [tile._replace(args=raw_mode) for tile in image.tile]
        return np.asarray(image)


def _stated(data: bytes) -> tuple[float, float] | None:
    """Give black and white for fewer bits in use than 16, as the chunk sBIT says it."""
    place = FIRST_CHUNK
    while (name := data[place + 4 : place + 8]) not in (b"IDAT", b""):
        length = int.from_bytes(data[place : place + 4], "big")
        if name == b"sBIT" and 8 <= max(data[place + 8 : place + 8 + length], default=0) < 16:
            return 0.0, 2.0 ** max(data[place + 8 : place + 8 + length]) - 1
        place += 12 + length
    return None
