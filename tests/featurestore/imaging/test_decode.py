"""How the bytes of an image become upright RGB."""

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


def test_cmyk_jpeg() -> None:
    red = encoded(Image.new("CMYK", (16, 16), (0, 255, 255, 0)), "JPEG", quality=95)
    assert Image.open(io.BytesIO(red)).mode == "CMYK"
    assert np.abs(np.array(first_pixel(red)) - RED).max() <= 4


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


def test_first_frame_of_an_animation_counts() -> None:
    frames = [Image.new("RGB", (4, 4), colour) for colour in (RED, BLUE)]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert getattr(Image.open(io.BytesIO(data)), "n_frames") == 2  # noqa: B009
    assert first_pixel(data) == RED


# -- EXIF

TURNED = {
    1: lambda a: a,
    2: np.fliplr,
    3: lambda a: np.rot90(a, 2),
    4: np.flipud,
    5: lambda a: a.transpose(1, 0, 2),
    6: lambda a: np.rot90(a, -1),
    7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
    8: lambda a: np.rot90(a, 1),
}


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    stored = noise(6, 4)
    exif = Image.Exif()
    exif[0x0112] = orientation
    decoded = images.decode(encoded(stored, exif=exif))
    np.testing.assert_array_equal(np.asarray(decoded.image), TURNED[orientation](np.asarray(stored)))
    assert (decoded.width, decoded.height) == decoded.image.size


def test_orientation_and_reduced_decoding_go_together() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    decoded = images.decode(encoded(noise(640, 320), "JPEG", exif=exif), shorter_side=80)
    assert decoded.image.size == (80, 160)
    assert (decoded.width, decoded.height) == (320, 640)


@pytest.mark.filterwarnings("ignore:Corrupt EXIF data", "ignore:Metadata Warning")
@pytest.mark.parametrize(
    "block", [b"Exif\0\0", b"Exif\0\0rubbish", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0II*\0\x08\0\0\0\xff\xff"]
)
def test_broken_exif_says_nothing(block: bytes) -> None:
    assert images.decode(encoded(noise(), "JPEG", exif=block)).image.size == (64, 48)


def test_orientation_out_of_range_says_nothing() -> None:
    exif = Image.Exif()
    exif[0x0112] = 9
    np.testing.assert_array_equal(pixels(encoded(noise(), exif=exif)), np.asarray(noise()))


# -- damage


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty file"),
        (b"rose, tulip\n" * 50, "not an image"),
        (b"\xff\xd8\xff", "not an image"),
        (b"\x00" * 4096, "not an image"),
    ],
)
def test_what_is_no_image_is_refused(data: bytes, reason: str) -> None:
    with pytest.raises(ImageError, match=reason):
        images.decode(data)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "GIF", "TIFF", "WEBP", "BMP"])
@pytest.mark.parametrize("tenths", range(1, 10, 2))
def test_a_file_that_is_cut_off_is_refused(kind: str, tenths: int) -> None:
    data = encoded(noise(), kind)
    with pytest.raises(ImageError):
        images.decode(data[: len(data) * tenths // 10])


def test_the_reason_of_a_cut_is_given_in_words() -> None:
    data = encoded(noise(), "JPEG")
    with pytest.raises(ImageError, match="cut off or damaged"):
        images.decode(data[: len(data) // 2])


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


@pytest.mark.parametrize("size", [(1, 1), (1, 20_000), (20_000, 1)])
@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_extreme_shapes_decode(size: tuple[int, int], kind: str) -> None:
    decoded = images.decode(encoded(Image.new("RGB", size, RED), kind), shorter_side=64)
    assert decoded.image.size == size == (decoded.width, decoded.height)
    assert np.abs(np.array(decoded.image.getpixel((0, 0))) - RED).max() <= 4


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
