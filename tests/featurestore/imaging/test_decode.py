"""Exact colours, sizes and limits of decoding; what awkward files become is in test_corpus.py."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from featurestore.errors import ImageError
from featurestore.imaging import decode as images

RED, BLUE = (255, 0, 0), (0, 0, 255)


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def pixels(data: bytes) -> NDArray[np.uint8]:
    image = images.decode(data).image
    assert image.mode == "RGB"
    return np.asarray(image)


def first_pixel(data: bytes) -> tuple[int, ...]:
    return tuple(int(v) for v in pixels(data)[0, 0])


def noise(width: int = 64, height: int = 48) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))


# -- modes


def palette(transparency: int | None = None) -> bytes:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    return encoded(image) if transparency is None else encoded(image, transparency=transparency)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (encoded(Image.new("1", (4, 4), 1)), (255, 255, 255)),
        (encoded(Image.new("1", (4, 4), 0)), (0, 0, 0)),
        (encoded(Image.new("L", (4, 4), 100)), (100, 100, 100)),
        (encoded(Image.new("L", (4, 4), 100), transparency=100), (255, 255, 255)),
        (encoded(Image.new("LA", (4, 4), (100, 255))), (100, 100, 100)),
        (encoded(Image.new("LA", (4, 4), (100, 0))), (255, 255, 255)),
        (encoded(Image.new("LA", (4, 4), (0, 128))), (127, 127, 127)),
        (palette(), (10, 20, 30)),
        (palette(transparency=1), (255, 255, 255)),
        (palette(transparency=0), (10, 20, 30)),
        (encoded(Image.new("RGB", (4, 4), (1, 2, 3))), (1, 2, 3)),
        (encoded(Image.new("RGB", (4, 4), RED), transparency=RED), (255, 255, 255)),
        (encoded(Image.new("RGBA", (4, 4), (1, 2, 3, 255))), (1, 2, 3)),
        (encoded(Image.new("RGBA", (4, 4), (1, 2, 3, 0))), (255, 255, 255)),
        (encoded(Image.new("RGBA", (4, 4), (255, 0, 0, 51))), (255, 204, 204)),
        (encoded(Image.fromarray(np.full((4, 4), 0xABCD, np.uint16))), (0xAB, 0xAB, 0xAB)),
        (encoded(Image.fromarray(np.full((4, 4), 0x1234, np.int32)), "TIFF"), (0x12, 0x12, 0x12)),
        (encoded(Image.fromarray(np.full((4, 4), 70_000, np.int32)), "TIFF"), (255, 255, 255)),
        (encoded(Image.fromarray(np.full((4, 4), -5, np.int32)), "TIFF"), (0, 0, 0)),
        (encoded(Image.fromarray(np.full((4, 4), 7.5, np.float32)), "TIFF"), (0, 0, 0)),
    ],
    ids=[
        "bilevel white", "bilevel black", "grey", "grey, transparent key", "grey alpha opaque", "grey alpha clear", "grey alpha half",
        "palette", "palette transparent", "palette, another transparent", "rgb", "rgb, transparent key", "rgba opaque", "rgba clear",
        "rgba fifth", "16 bit", "32 bit", "32 bit above", "32 bit below", "float constant",
    ],
)  # fmt: skip
def test_every_mode_becomes_rgb(data: bytes, expected: tuple[int, ...]) -> None:
    assert first_pixel(data) == expected


def test_float_grey_is_stretched_from_minimum_to_maximum() -> None:
    values = np.array([[-1.0, 0.0, 1.0]], np.float32)
    assert pixels(encoded(Image.fromarray(values), "TIFF"))[0, :, 0].tolist() == [0, 127, 255]


def test_float_grey_with_nan_and_infinity_decodes() -> None:
    values = np.array([[-np.inf, np.nan, np.inf]], np.float32)
    assert pixels(encoded(Image.fromarray(values), "TIFF"))[0, :, 0].tolist() == [0, 127, 255]


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV", "I", "F", "I;16", "I;16B", "I;16L"])  # fmt: skip
def test_no_mode_of_pillow_is_refused(mode: str) -> None:
    rgb = images.to_rgb(Image.new(mode, (3, 2)))
    assert (rgb.mode, rgb.size) == ("RGB", (3, 2))


# -- EXIF


def test_orientation_and_reduced_decoding_go_together() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    decoded = images.decode(encoded(noise(640, 320), "JPEG", exif=exif), shorter_side=80)
    assert decoded.image.size == (80, 160)
    assert (decoded.width, decoded.height) == (320, 640)


# -- damage


def test_a_header_that_promises_too_much_is_refused_unread() -> None:
    data = bytearray(encoded(noise()))
    data[16:24] = struct.pack(">II", 60_000, 60_000)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    with pytest.raises(ImageError, match=r"too large.*178,956,970"):
        images.decode(bytes(data))


def test_the_limit_counts_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(images, "MAX_PIXELS", 12)
    assert images.decode(encoded(noise(4, 3))).image.size == (4, 3)
    with pytest.raises(ImageError, match="too large: 13 x 1 pixels, the limit is 12 pixels"):
        images.decode(encoded(noise(13, 1)))


# -- reduced decoding


@pytest.mark.parametrize(
    ("shorter_side", "expected"), [(480, (640, 480)), (241, (640, 480)), (240, (320, 240)), (100, (160, 120)), (60, (80, 60)), (8, (80, 60)), (1000, (640, 480))]
)  # fmt: skip
def test_a_jpeg_is_decoded_at_the_smallest_scale_that_suffices(shorter_side: int, expected: tuple[int, int]) -> None:
    y, x = np.mgrid[:480, :640]
    smooth = np.stack([x * 255 // 639, y * 255 // 479, (x + y) * 255 // 1118], axis=2).astype(np.uint8)
    data = encoded(Image.fromarray(smooth), "JPEG", quality=95)
    reduced = images.decode(data, shorter_side)
    assert reduced.image.size == expected
    assert (reduced.width, reduced.height) == (640, 480)
    full = images.decode(data).image.resize(expected, Image.Resampling.BOX)
    assert np.abs(np.asarray(reduced.image, np.int16) - np.asarray(full, np.int16)).max() <= 4


def test_other_formats_are_not_reduced() -> None:
    assert images.decode(encoded(noise()), shorter_side=8).image.size == (64, 48)


# -- images that are open already


def test_take_gives_what_decode_gives() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(noise(6, 4), exif=exif)
    taken = images.upright(Image.open(io.BytesIO(data)))
    np.testing.assert_array_equal(np.asarray(taken.image), pixels(data))
    assert (taken.width, taken.height) == (4, 6)


def test_take_names_what_is_damaged() -> None:
    data = encoded(noise())
    with pytest.raises(ImageError, match="cut off or damaged"):
        images.upright(Image.open(io.BytesIO(data[: len(data) // 2])))
