"""Details against a naive transform, and what they tell apart."""

import numpy as np
import pytest
from PIL import Image, ImageDraw, ImageFilter

from featurestore.curation.detail import WAVES, detail_likeness
from featurestore.storage.thumbnails import SIDE
from tests.featurestore.curation.pictures import COPIES, Copy, draw, mirror, thumbnail

ENTIRE = np.array([[0, 0, 1, 1]], np.float32)


def detail(a: np.ndarray, b: np.ndarray, window: np.ndarray = ENTIRE, mirror: bool = False) -> float:
    return float(detail_likeness(np.stack([a, b]), np.array([0]), np.array([1]), window, mirror)[0])


def naive_waves(picture: np.ndarray) -> list[float]:
    at = (np.arange(SIDE) + 0.5) / SIDE
    found = []
    for down in range(WAVES[1]):
        for across in range(WAVES[1]):
            if WAVES[0] <= np.hypot(down, across) < WAVES[1]:
                pattern = np.outer(np.cos(np.pi * down * at), np.cos(np.pi * across * at))
                found.append(float((picture * pattern).sum() / np.linalg.norm(pattern)))
    return found


def test_it_is_the_cosine_of_the_waves_of_medium_length() -> None:
    a, b = naive_waves(thumbnail(draw(1))), naive_waves(thumbnail(draw(2)))
    expected = np.dot(a, b) / np.linalg.norm(a) / np.linalg.norm(b)
    assert detail(thumbnail(draw(1)), thumbnail(draw(2))) == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize("copy", [copy for name, copy in COPIES.items() if "crop" not in name])
def test_copies_agree(copy: Copy) -> None:
    for seed in range(4):
        assert detail(thumbnail(draw(seed)), thumbnail(copy(draw(seed)))) > 0.98
        assert detail(thumbnail(draw(seed)), thumbnail(mirror(copy(draw(seed)))), mirror=True) > 0.98


def test_a_part_agrees_with_its_window() -> None:
    picture = draw(1, 320, 320)
    part = thumbnail(picture.crop((32, 64, 288, 320)))
    assert detail(thumbnail(picture), part, np.array([[0.1, 0.2, 0.8, 0.8]], np.float32)) > 0.98
    assert detail(thumbnail(picture), part) < 0.5


def test_blots_of_one_outline_differ_by_details_alone() -> None:
    blots = []
    for seed in (0, 1):
        rng, picture = np.random.default_rng(seed), Image.new("L", (128, 128), 40)
        ImageDraw.Draw(picture).ellipse((32, 32, 96, 96), 240)
        picture = picture.filter(ImageFilter.GaussianBlur(14))
        grain = np.asarray(Image.fromarray(rng.normal(0, 9, (12, 12)).astype(np.float32)).resize((128, 128)))
        blots.append(thumbnail(Image.fromarray((np.asarray(picture) + grain).clip(0, 255).astype(np.uint8))))
    assert np.corrcoef(blots[0].ravel(), blots[1].ravel())[0, 1] > 0.98
    assert detail(blots[0], blots[1]) < 0.9


def test_pictures_without_details_agree_with_nothing() -> None:
    flat = np.full((SIDE, SIDE), 77, np.uint8)
    assert abs(detail(flat, flat)) < 1e-6
    none = np.empty(0, np.int64)
    assert detail_likeness(flat[None], none, none, ENTIRE[:0], False).shape == (0,)
