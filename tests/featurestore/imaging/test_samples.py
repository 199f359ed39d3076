"""The rule by which values of any type and range become 8 bits; each expected value can be computed by hand."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from featurestore.errors import ImageError
from featurestore.imaging.samples import Samples, scale, select, to_rgb

RAMP = np.arange(256, dtype=np.uint8).reshape(16, 16, 1)  # all 8-bit values once


def scaled(values: NDArray[Any], stated: tuple[float, float] | None = None) -> list[int]:
    return scale(np.asarray(values).reshape(-1, 1, 1), stated)[0].ravel().tolist()


@pytest.mark.parametrize("bits", [8, 9, 10, 11, 12, 14, 15, 16])
def test_the_upper_eight_of_the_bits_in_use_are_kept(bits: int) -> None:
    """A picture of 8 bits comes back from a file of 16 of which it uses `bits`."""
    pixels, how = scale(RAMP.astype(np.uint16) << (bits - 8))
    np.testing.assert_array_equal(pixels, RAMP)
    assert how == ("" if bits == 16 else f"16 bits a channel, of which {bits} are in use; scaled by these")


def test_photos_from_0_to_1275_are_not_black() -> None:
    assert scaled(np.array([0, 255, 1020, 1275], np.uint16)) == [0, 31, 127, 159]  # of 2047


def test_a_dark_file_is_not_brightened_beyond_8_bits() -> None:
    assert scaled(np.array([0, 3, 20], np.uint16)) == [0, 3, 20]


def test_a_thousandth_of_hot_pixels_does_not_set_the_range() -> None:
    values = np.full(2000, 1000, np.uint16)
    values[:2] = 65535
    assert set(scaled(values)) == {250, 255}  # 10 bits; the hot ones are clipped
    values[2] = 65535
    assert set(scaled(values)) == {1000 >> 8, 255}


@pytest.mark.parametrize("dtype", [np.uint32, np.int32, np.int64])
def test_wide_integers_follow_the_same_rule(dtype: type) -> None:
    assert scaled(np.array([0, 2**19, 2**20 - 1], dtype)) == [0, 128, 255]


def test_an_eight_bit_picture_stays_itself_as_floats() -> None:
    for values in (RAMP.astype(np.float32), RAMP / np.float32(255), RAMP / 255, RAMP / np.float16(256)):
        np.testing.assert_allclose(scale(values)[0], RAMP, atol=1)
    np.testing.assert_array_equal(scale(RAMP / np.float32(255))[0], RAMP)


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([0.0, 0.5, 1.0], [0, 128, 255]),
        ([0.0, 0.1, 0.2], [0, 102, 204]),  # from 0 to 1/4
        ([0.0, 0.65, 1.3], [0, 83, 166]),  # from 0 to 2
        ([0.0, 0.001, 0.002], [0, 65, 131]),  # from 0 to 1/256, and no less
        ([0.0, 1.0], [0, 255]),
        ([0.0, 4.0, 200.0], [0, 4, 200]),  # whole numbers: as integers
        ([0.0, 0.0], [0, 0]),
        ([-1.0, 0.0, 1.0], [0, 128, 255]),
        ([-3e38, 0.0, 3e38], [0, 128, 255]),
        ([0.0, 0.25, 0.5, np.inf], [0, 128, 255, 255]),
        ([0.0, 0.25, 0.5, np.nan, -np.inf], [0, 128, 255, 0, 0]),
        ([0.0, 1.7e308], [0, 255]),
    ],
)
def test_floats_are_scaled_by_a_power_of_two(values: list[float], expected: list[int]) -> None:
    assert scaled(np.array(values, np.float64)) == expected


def test_signed_values_are_stretched_over_their_own_range() -> None:
    """As of computed tomography: air, water, bone."""
    pixels, how = scale(np.array([[[-1000]], [[0]], [[1000]]], np.int16))
    assert pixels.ravel().tolist() == [0, 128, 255]
    assert how == "16 bits a channel with negative values; stretched over the file's own range"


def test_a_stated_range_goes_before_the_file_s_own() -> None:
    assert scaled(np.array([100, 200, 300], np.uint16), (100, 300)) == [0, 128, 255]


def test_a_stated_range_that_does_not_hold_the_values_is_not_believed() -> None:
    assert scaled(np.array([0, 2000, 4095], np.uint16), (0, 255)) == [0, 125, 255]


def test_no_finite_value_is_a_failure() -> None:
    with pytest.raises(ImageError, match="no value of the image is a finite number"):
        scale(np.full((2, 2, 1), np.nan))


def test_channels_share_one_range_so_that_colours_stay() -> None:
    values = np.array([[[1023, 511, 0]]], np.uint16)
    assert to_rgb(Samples(values))[0].tolist() == [[[255, 127, 0]]]


@pytest.mark.parametrize(
    ("premultiplied", "expected"), [(False, [227, 252, 227]), (True, [255, 255, 255])], ids=["plain", "premultiplied"]
)
def test_alpha_is_laid_over_white(premultiplied: bool, expected: list[int]) -> None:
    values = np.array([[[100, 240, 100, 46]]], np.uint8)
    pixels, how = to_rgb(Samples(values, alpha=True, premultiplied=premultiplied))
    assert (pixels[0, 0].tolist(), how) == (expected, "")


def test_white_may_be_the_lowest_value() -> None:
    assert to_rgb(Samples(np.array([[[0], [255]]], np.uint8), inverted=True))[0][0].tolist() == [[255] * 3, [0] * 3]


THIRTEEN = Samples(np.arange(13, dtype=np.uint8).reshape(1, 1, 13))


@pytest.mark.parametrize(("bands", "expected"), [((4, 3, 2), [3, 2, 1]), ((13,), [12, 12, 12])])
def test_bands_are_selected_from_1(bands: tuple[int, ...], expected: list[int]) -> None:
    assert to_rgb(select(THIRTEEN, bands))[0][0, 0].tolist() == expected


def test_a_band_that_is_not_there_is_named() -> None:
    with pytest.raises(ImageError, match=r"^has 13 bands; the encoder reads the bands 14,3,2$"):
        select(THIRTEEN, (14, 3, 2))
