"""Images that are not ordinary, in child processes: the same pixels, and an end in time and within the memory."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from featurestore.errors import ImageError
from featurestore.imaging import guarded, tasks
from featurestore.imaging.children import CHILDREN
from featurestore.imaging.preprocess import Preprocess
from featurestore.imaging.turn import Turn
from tests.featurestore.attacks.images import jpeg_of_scans, png_of
from tests.featurestore.imaging.image_bytes import chunk, noise, qoi, saved

RECORD = Preprocess(16, 20)
CUT = saved(noise(), "jpeg2000")[:200]


@pytest.fixture
def new_children() -> Iterator[None]:
    """No child of other tests, and none that is left to them."""
    CHILDREN.close()
    yield
    CHILDREN.close()


def idle() -> list[int]:
    return [child.pid for _, child in CHILDREN._idle]


def test_a_child_gives_what_this_process_would() -> None:
    data = saved(noise(), "jpeg2000")
    here, there = tasks.pixels(data, RECORD), guarded.pixels(data, RECORD, Turn(), 30)
    assert np.array_equal(here.pixels, there.pixels)
    assert replace(here, pixels=there.pixels) == there
    small = guarded.thumbnail(data, 32, None, Turn(), 30)
    assert np.array_equal(small.pixels, tasks.thumbnail(data, 32, None).pixels)
    assert small.pixels.shape == (24, 32, 3)
    size = guarded.size(data, Turn(), 30)
    assert (size.width, size.height) == (64, 48)


def test_a_child_is_kept_for_the_next_image_whatever_becomes_of_one(new_children: None) -> None:
    with pytest.raises(ImageError, match=r"^(damaged|cut off)"):
        guarded.pixels(CUT, RECORD, Turn(), 30)
    [first] = idle()
    guarded.pixels(saved(noise(), "jpeg2000"), RECORD, Turn(), 30)
    assert idle() == [first]


def test_a_child_is_ended_when_an_image_takes_too_long_and_another_takes_its_place(new_children: None) -> None:
    with pytest.raises(ImageError, match=r"^took longer than 0\.2 s to decode$"):
        guarded.pixels(jpeg_of_scans(2000, 1200), RECORD, Turn(), 0.2)
    assert idle() == []
    assert guarded.pixels(saved(noise(), "jpeg2000"), RECORD, Turn(), 30).width == 64


@pytest.mark.slow
def test_an_image_that_needs_more_memory_than_a_child_has_is_refused(
    new_children: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(CHILDREN, "_limits", replace(CHILDREN._limits, memory=48 << 20))
    with pytest.raises(ImageError, match=r"^needs more than 3 GiB of memory to decode$"):
        guarded.pixels(png_of(6000, 6000, 8, 0, 1, *[chunk(b"tEXt", b"a\0b")] * 200), RECORD, Turn(), 30)
    assert guarded.pixels(saved(noise(), "jpeg2000"), RECORD, Turn(), 30).width == 64


def test_ordinary_images_start_no_child(new_children: None, tmp_path: Path) -> None:
    for data in (saved(noise(), "jpeg"), saved(noise(), "png"), saved(noise(), "tiff"), png_of(64, 64, 16, 2, 3)):
        guarded.pixels(data, RECORD, Turn(), 30)
    with pytest.raises(ImageError, match="not an image"):
        guarded.pixels(b"text", RECORD, Turn(), 30)
    assert idle() == []
    guarded.pixels(qoi(4, 4, b"\xfe\xff\0\0\xce"), RECORD, Turn(), 30)
    assert len(idle()) == 1
