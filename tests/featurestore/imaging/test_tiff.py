"""TIFFs beyond Pillow: every type, layout and compression gives the samples that were written."""

import io
import struct
import zlib
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from featurestore.errors import ImageError
from featurestore.imaging import tiff
from featurestore.imaging.decode import decode, size_of
from tests.featurestore.imaging.image_bytes import multiband
from tests.featurestore.imaging.image_bytes import tiff as tiff_of

RNG = np.random.default_rng(0)


def read(data: bytes, bands: tuple[int, ...] | None = None) -> NDArray[Any]:
    samples = tiff.read_samples(data, tiff.read_tags(data), bands)
    assert samples is not None
    return samples.values


@pytest.mark.parametrize("planar", [False, True], ids=["chunky", "planar"])
@pytest.mark.parametrize("bands", [1, 3, 13])
@pytest.mark.parametrize("dtype", ["<u2", ">u2", "<i2", "<u4", "<f2", ">f4", "<f8", "u1"])
def test_every_type_and_layout_is_read(dtype: str, bands: int, planar: bool) -> None:
    values = RNG.integers(0, 120, (17, 11, bands)).astype(dtype)
    data = multiband(values, planar=planar, pack=zlib.compress, t259=(8,))
    np.testing.assert_array_equal(read(data, tuple(range(1, bands + 1))), values)


def test_only_the_bands_that_are_asked_for_are_read() -> None:
    values = RNG.integers(0, 9999, (9, 5, 13)).astype("<u2")
    for planar in (False, True):
        np.testing.assert_array_equal(read(multiband(values, planar=planar), (4, 3, 2)), values[..., [3, 2, 1]])


def test_differences_are_summed() -> None:
    values = RNG.integers(0, 65536, (9, 8, 3)).astype("<u2")
    differences = np.diff(values, axis=1, prepend=np.zeros_like(values[:, :1]))
    np.testing.assert_array_equal(read(multiband(differences, t317=(2,))), values)


def test_differences_of_the_bytes_of_floats_are_summed() -> None:
    """TIFF Technical Note 3: the highest bytes of a row, then the next ones, each less the one before."""
    values = RNG.normal(size=(6, 5, 1)).astype("<f4")
    planes = values.astype(">f4").view(np.uint8).reshape(6, 5, 4).transpose(0, 2, 1).reshape(6, 20)
    differences = np.diff(planes, axis=1, prepend=np.zeros_like(planes[:, :1]))
    written = np.ascontiguousarray(differences).view("<f4").reshape(6, 5, 1)
    np.testing.assert_array_equal(read(multiband(written, t317=(3,))), values)


@pytest.mark.parametrize("compression", ["raw", "tiff_lzw", "packbits", "tiff_adobe_deflate"])
def test_pillow_decompresses_what_the_standard_library_does_not_know(compression: str) -> None:
    values = RNG.integers(0, 4000, (40, 30)).astype(np.uint16)
    file = io.BytesIO()
    Image.fromarray(values).save(file, "TIFF", compression=compression)
    np.testing.assert_array_equal(read(file.getvalue())[..., 0], values)


def test_tiles_are_put_together() -> None:
    values = RNG.integers(0, 9999, (20, 40, 1)).astype("<u2")
    padded = np.pad(values, ((0, 12), (0, 8), (0, 0)))
    tiles = [padded[y : y + 16, x : x + 16].tobytes() for y in (0, 16) for x in (0, 16, 32)]
    tags: dict[int, tuple[int, ...]] = {
        256: (40,), 257: (20,), 258: (16,), 259: (1,), 262: (1,), 277: (1,), 322: (16,), 323: (16,), 324: (), 325: (512,) * 6,
    }  # fmt: skip
    np.testing.assert_array_equal(read(tiff_of(tags, *tiles)), values)


def test_what_pillow_reads_rightly_is_left_to_it() -> None:
    for image in (Image.new("RGB", (4, 4)), Image.new("RGBA", (4, 4)), Image.new("L", (4, 4)), Image.new("CMYK", (4, 4)), Image.new("1", (4, 4)), Image.new("P", (4, 4))):  # fmt: skip
        file = io.BytesIO()
        image.save(file, "TIFF")
        assert tiff.read_samples(file.getvalue(), tiff.read_tags(file.getvalue()), None) is None


# -- what becomes of them


RED_AND_NEAR_INFRARED = np.tile(np.array([200, 10, 20, 0], np.uint8), (4, 4, 1))


@pytest.mark.parametrize("extra", [{}, {"t338": (0,)}], ids=["no tag", "unspecified"])
def test_a_fourth_channel_of_unknown_meaning_is_not_alpha(extra: dict[str, Any]) -> None:
    decoded = decode(multiband(RED_AND_NEAR_INFRARED, **extra))
    assert decoded.image.getpixel((0, 0)) == (200, 10, 20)
    assert decoded.how == "4 channels, of which the first 3 are read"


@pytest.mark.parametrize("depth", [1, 2])
def test_a_fourth_channel_that_is_alpha_is(depth: int) -> None:
    values = RED_AND_NEAR_INFRARED.astype(f"u{depth}") * (257 if depth == 2 else 1)
    assert decode(multiband(values, t338=(2,))).image.getpixel((0, 0)) == (255, 255, 255)


def test_thirteen_bands_are_refused_read_by_number_or_shown() -> None:
    values = np.tile(np.arange(13, dtype="<u2") * 20, (4, 4, 1))
    data = multiband(values)
    for file in (data, multiband(values, t279=(4,))):  # before any pixel is read
        with pytest.raises(ImageError, match=r"^13 bands; say which to read, three or one, .*train --bands 3,2,1 or"):
            decode(file)
    assert decode(data, bands=(13, 2, 1)).image.getpixel((0, 0)) == (240, 20, 0)
    assert decode(data, bands=(2,)).image.getpixel((0, 0)) == (20, 20, 20)
    assert decode(data, preview=True).image.getpixel((0, 0)) == (0, 20, 40)
    assert size_of(data) == (4, 4)


def test_tags_that_state_black_and_white_are_followed() -> None:
    data = multiband(np.full((4, 4, 1), 600, "<u2"), t280=(200,), t281=(1000,))
    assert decode(data).image.getpixel((0, 0)) == (128, 128, 128)


def test_the_whole_range_of_the_type_states_nothing() -> None:
    data = multiband(np.full((4, 4, 1), 600, "<u2"), t280=(0,), t281=(65535,))
    assert decode(data).image.getpixel((0, 0)) == (150, 150, 150)  # of 10 bits


def test_a_tiff_of_many_bits_is_turned_upright() -> None:
    values = np.zeros((3, 5, 1), "<u2")
    values[0, 0] = 255
    decoded = decode(multiband(values, t274=(6,)))  # the first row is the right side
    assert (decoded.width, decoded.height) == decoded.image.size == (3, 5)
    assert decoded.image.getpixel((2, 0)) == (255, 255, 255)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"t278": (0,)}, "without pixels"),
        ({"t279": (4, 4)}, "cut off or damaged: 4 of"),
        ({"t279": (4,)}, "fewer strips or tiles"),
        ({"t259": (8,)}, "cut off or damaged"),
        ({"t256": (60_000,), "t257": (60_000,)}, "too large"),
        ({"t277": (60_000,)}, "cut off"),
    ],
)
def test_damage_is_named(change: dict[str, Any], reason: str) -> None:
    with pytest.raises(ImageError, match=reason):
        decode(multiband(np.ones((9, 5, 2), "<u2"), **change), bands=(1,))


def test_more_bytes_than_the_limit_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiff, "LARGEST", 200)
    data = multiband(np.ones((10, 10, 13), "<u2"))
    assert decode(data, bands=(1,)).image.size == (10, 10)
    with pytest.raises(ImageError, match="too large: 600 bytes of the channels that are read, the limit is 200"):
        decode(data, bands=(1, 2, 3))


def test_the_tiff_around_compressed_bytes_is_one() -> None:
    data = tiff._grey_tiff(bytes(range(6)), 1, 2, 3)
    with Image.open(io.BytesIO(data)) as image:
        assert (image.mode, image.size, image.tobytes()) == ("L", (3, 2), bytes(range(6)))
    assert struct.unpack("<I", data[4:8]) == (8,)
