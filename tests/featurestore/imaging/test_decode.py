"""Exact colours, sizes and limits of decoding; what awkward files become is in test_corpus.py."""

import io
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from featurestore.errors import ImageError
from featurestore.imaging import decode as images
from featurestore.imaging import opening


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def pixels(data: bytes) -> NDArray[np.uint8]:
    image = images.decode(data).image
    assert image.mode == "RGB"
    return np.asarray(image)


def noise(width: int = 64, height: int = 48) -> Image.Image:
    return Image.fromarray(np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8))


def turned(width: int, height: int, kind: str) -> bytes:
    """A picture that its EXIF says to turn by a quarter."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(noise(width, height), kind, exif=exif)


# -- modes; the plain ones are in corpus.py


def palette_with(transparency: int) -> bytes:
    image = Image.new("P", (4, 4), 1)
    image.putpalette([0, 0, 0, 10, 20, 30])
    return encoded(image, transparency=transparency)


def grey_tiff(value: float, kind: type) -> bytes:
    return encoded(Image.fromarray(np.full((4, 4), value, kind)), "TIFF")


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (encoded(Image.new("1", (4, 4), 0)), (0, 0, 0)),
        (encoded(Image.new("L", (4, 4), 100), transparency=100), (255, 255, 255)),
        (encoded(Image.new("LA", (4, 4), (100, 0))), (255, 255, 255)),
        (encoded(Image.new("LA", (4, 4), (0, 128))), (127, 127, 127)),
        (palette_with(transparency=0), (10, 20, 30)),
        (encoded(Image.new("RGBA", (4, 4), (255, 0, 0, 51))), (255, 204, 204)),
        (encoded(Image.fromarray(np.full((4, 4), 0xABCD, np.uint16))), (0xAB, 0xAB, 0xAB)),
        (grey_tiff(70_000, np.int32), (136, 136, 136)),  # 17 bits
        (grey_tiff(-5, np.int32), (0, 0, 0)),
        (grey_tiff(6.0, np.float32), (6, 6, 6)),  # whole numbers of 8 bits
    ],
    ids=[
        "bilevel black", "grey, transparent key", "grey alpha clear", "grey alpha half", "palette, another transparent", "rgba fifth",
        "16 bit", "32 bit", "32 bit negative", "float constant",
    ],
)  # fmt: skip
def test_every_mode_becomes_rgb(data: bytes, expected: tuple[int, ...]) -> None:
    assert tuple(pixels(data)[0, 0].tolist()) == expected


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBa", "RGBX", "CMYK", "YCbCr", "LAB", "HSV", "I", "F", "I;16", "I;16B", "I;16L"])  # fmt: skip
def test_no_mode_of_pillow_is_refused(mode: str) -> None:
    rgb = images.upright(Image.new(mode, (3, 2))).image
    assert (rgb.mode, rgb.size) == ("RGB", (3, 2))


def test_the_limit_counts_pixels(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(opening, "MAX_PIXELS", 12)
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


def test_orientation_and_reduced_decoding_go_together() -> None:
    decoded = images.decode(turned(640, 320, "JPEG"), shorter_side=80)
    assert decoded.image.size == (80, 160)
    assert (decoded.width, decoded.height) == (320, 640)


# -- images that are open already


def test_an_open_image_becomes_what_its_bytes_become() -> None:
    data = turned(6, 4, "PNG")
    taken = images.upright(Image.open(io.BytesIO(data)))
    np.testing.assert_array_equal(np.asarray(taken.image), pixels(data))
    assert (taken.width, taken.height) == (4, 6)


def test_what_is_damaged_in_an_open_image_is_named() -> None:
    data = encoded(noise())
    with pytest.raises(ImageError, match="cut off or damaged"):
        images.upright(Image.open(io.BytesIO(data[: len(data) // 2])))
