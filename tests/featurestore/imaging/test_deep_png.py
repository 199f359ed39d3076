"""PNG files with 16 bits a channel keep all of them until they are scaled."""

import io
import struct

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from featurestore.imaging import deep_png
from featurestore.imaging.decode import decode
from tests.featurestore.imaging.image_bytes import png

RNG = np.random.default_rng(0)
CHANNELS = {deep_png.GREY: 1, deep_png.RGB: 3, deep_png.GREY_ALPHA: 2, deep_png.RGB_ALPHA: 4}


def deep(values: NDArray[np.uint16], kind: int, *before: tuple[bytes, bytes]) -> bytes:
    raw = b"".join(b"\0" + row.astype(">u2").tobytes() for row in values)
    return png(values.shape[1], values.shape[0], 16, kind, raw, *before)


@pytest.mark.parametrize("kind", CHANNELS)
def test_all_sixteen_bits_are_read(kind: int) -> None:
    values = RNG.integers(0, 65536, (5, 7, CHANNELS[kind])).astype(np.uint16)
    data = deep(values, kind)
    assert deep_png.is_deep(data)
    with Image.open(io.BytesIO(data)) as image:
        samples = deep_png.read_samples(data, image)
    np.testing.assert_array_equal(samples.values, values)
    assert samples.alpha is (kind in (deep_png.GREY_ALPHA, deep_png.RGB_ALPHA))


def test_twelve_bits_in_sixteen_are_not_black() -> None:
    decoded = decode(deep(np.full((4, 4, 3), (4095, 2048, 0), np.uint16), deep_png.RGB))
    assert decoded.image.getpixel((0, 0)) == (255, 128, 0)
    assert decoded.how == "16 bits a channel, of which 12 are in use; scaled by these"


def test_sbit_says_how_many_bits_a_dark_file_has() -> None:
    dark = np.full((4, 4, 1), 1000, np.uint16)
    assert decode(deep(dark, deep_png.GREY)).image.getpixel((0, 0)) == (250,) * 3  # 10 bits
    assert decode(deep(dark, deep_png.GREY, (b"sBIT", b"\x0c"))).image.getpixel((0, 0)) == (62,) * 3  # 12 bits


@pytest.mark.parametrize("kind", [deep_png.GREY, deep_png.RGB])
def test_the_transparent_colour_becomes_white(kind: int) -> None:
    values = np.full((2, 2, CHANNELS[kind]), 0x1234, np.uint16)
    values[0, 0] = 0x1235  # the same in eight bits
    key = struct.pack(f">{CHANNELS[kind]}H", *[0x1234] * CHANNELS[kind])
    image = decode(deep(values, kind, (b"tRNS", key))).image
    assert image.getpixel((1, 1)) == (255, 255, 255)
    assert image.getpixel((0, 0)) == (0x1235 >> 5,) * 3  # 13 bits
