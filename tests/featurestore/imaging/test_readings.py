"""What a run tells of how its images were read, and what counts as one colour."""

import numpy as np
import pytest
from numpy.typing import NDArray

from featurestore.imaging.preprocess import FLAT, is_flat
from featurestore.imaging.readings import Readings

ELEVEN = "16 bits a channel, of which 11 are in use; scaled by these"


def readings(images: int, flat: int = 0, ways: tuple[str, ...] = ()) -> Readings:
    found = Readings()
    for number in range(images):
        found.add(f"{number}.png", ways[number] if number < len(ways) else "", number < flat)
    return found


def test_ordinary_images_are_not_told() -> None:
    assert readings(100, flat=1).lines() == []
    assert readings(0).lines() == []


def test_ways_of_reading_are_told_with_their_share() -> None:
    assert readings(64, ways=(ELEVEN,) * 64).lines() == [f"64 of 64 images: {ELEVEN}; see docs/reference/inputs.md"]


def test_many_ways_end_in_one_line() -> None:
    lines = readings(20, ways=("a", "a", "b", "c", "d", "e", "f", "g")).lines()
    assert lines[0] == "2 of 20 images: a; see docs/reference/inputs.md"
    assert lines[5:] == ["2 of 20 images: read in 2 other ways"]


def test_more_than_a_hundredth_of_one_colour_is_told_with_the_first_three() -> None:
    [line] = readings(100, flat=4).lines()
    assert line.startswith("one colour, or nearly, at the encoder's size: 4 of 100 images; ")
    assert line.endswith("; the first: 0.png, 1.png, 2.png")


def spotted(height: int, row: int, levels: int) -> NDArray[np.uint8]:
    pixels = np.full((height, height, 3), (9, 100, 240), np.uint8)
    pixels[row, row, 2] -= levels
    return pixels


@pytest.mark.parametrize("size", [1, 8, 32, 224])
def test_little_contrast_is_one_colour(size: int) -> None:
    """However different the channels are, and wherever the spot is."""
    assert is_flat(spotted(size, size - 1, FLAT))
    assert is_flat(spotted(size, size - 1, FLAT + 1)) is (size == 1)
