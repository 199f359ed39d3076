"""Alignment of pictures: copies whose windows are known, and what is given up early."""

import numpy as np
import pytest

from featurestore.curation import alignment
from featurestore.curation.alignment import SIDE, Aligned, align, cut_out, slope
from featurestore.curation.coarse_search import coarse_likeness, reduced, window_shares
from featurestore.curation.confirmation import COARSE_LEAST
from tests.featurestore.curation.pictures import COPIES, Copy, crop, draw, mirror, thumbnail


def aligned(whole: np.ndarray, part: np.ndarray, mirror: bool = False, least: float = 0.0) -> Aligned:
    pair = np.stack([whole, part])
    begin = coarse_likeness(reduced(pair), np.array([0]), np.array([1])).window[:, 2 if mirror else 0]
    zero, one = np.array([0]), np.array([1])
    return align(pair, zero, one, window_shares()[begin], np.array([least], np.float32), mirror)


def one(whole: np.ndarray, part: np.ndarray, mirror: bool = False) -> float:
    return float(aligned(whole, part, mirror).likeness[0])


@pytest.mark.parametrize("copy", COPIES.values(), ids=COPIES)
def test_a_copy_is_found_in_its_picture(copy: Copy) -> None:
    for seed in range(4):
        picture = draw(seed)
        whole, part = thumbnail(picture), thumbnail(copy(picture))
        assert one(whole, part) > 0.985
        assert one(whole, thumbnail(mirror(copy(picture))), mirror=True) > 0.985
        assert one(whole, part, mirror=True) < 0.9
        assert one(thumbnail(draw(seed + 10)), part) < 0.9


@pytest.mark.parametrize(
    ("left", "top", "share"), [(0, 0, 0.75), (0.3, 0.3, 0.7), (0.13, 0.02, 0.83), (0.06, 0.06, 0.9)]
)
def test_the_place_is_refined(left: float, top: float, share: float) -> None:
    picture = draw(1, 400, 400)
    found = aligned(thumbnail(picture), thumbnail(crop(picture, left, top, share)))
    assert found.likeness[0] > 0.99
    np.testing.assert_allclose(found.window[0], (left, top, share, share), atol=0.02)


@pytest.mark.parametrize(("across", "down"), [(1.0, 0.6), (0.7, 1.0), (0.9, 0.67), (0.62, 0.97)])
def test_parts_of_another_shape_pass_both_searches(across: float, down: float) -> None:
    for seed in range(4):
        picture = draw(seed, 300, 300)
        for left, top in ((0.0, 0.0), (1 - across, 1 - down), ((1 - across) / 2, (1 - down) / 2)):
            box = (round(300 * left), round(300 * top), round(300 * (left + across)), round(300 * (top + down)))
            pair = np.stack([thumbnail(picture), thumbnail(picture.crop(box))])
            assert coarse_likeness(reduced(pair), np.array([0]), np.array([1])).likeness.max() > COARSE_LEAST
            assert one(*pair) > 0.98


def test_brightness_and_contrast_change_nothing() -> None:
    whole = thumbnail(draw(2))
    dimmer = np.rint(40 + whole * 0.5).astype(np.uint8)
    assert one(whole, dimmer) == pytest.approx(1, abs=1e-3)


def test_pictures_of_one_colour_are_like_nothing() -> None:
    flat = np.full((SIDE, SIDE), 77, np.uint8)
    noisy = flat + (np.arange(SIDE**2).reshape(SIDE, SIDE) % 2).astype(np.uint8)
    whole = thumbnail(draw(2))
    for a, b in ((flat, flat), (flat, whole), (whole, flat), (noisy, noisy[::-1])):
        assert abs(one(a, b)) < 0.3


def test_pairs_that_cannot_reach_what_is_wanted_are_given_up_and_others_are_not() -> None:
    whole, part, other = thumbnail(draw(1)), thumbnail(crop(draw(1))), thumbnail(draw(11))
    assert aligned(whole, part, least=0.988).likeness == pytest.approx(one(whole, part), abs=1e-5)
    assert aligned(whole, other, least=0.988).likeness[0] < 0.9


def test_parts_of_the_work_are_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    pictures = np.stack(
        [thumbnail(draw(seed)) for seed in range(5)] + [thumbnail(crop(draw(0))), thumbnail(mirror(draw(1)))]
    )
    wholes, parts = np.array([0, 1, 2, 0, 3]), np.array([5, 6, 3, 4, 6])
    begin, least = np.tile(np.array([0.1, 0.1, 0.8, 0.8], np.float32), (5, 1)), np.full(5, 0.95, np.float32)
    expected = align(pictures, wholes, parts, begin, least, False)
    monkeypatch.setattr(alignment, "TOGETHER", 2)
    found = align(pictures, wholes, parts, begin, least, False)
    np.testing.assert_allclose(found.likeness, expected.likeness, atol=1e-5)
    assert found.likeness[0] > 0.99 > found.likeness[1:].max()
    assert align(pictures, wholes[:0], parts[:0], begin[:0], least[:0], False).likeness.shape == (0,)


def test_a_window_is_cut_out_and_slopes_are_differences() -> None:
    ramp = np.tile(np.arange(SIDE, dtype=np.float32), (1, SIDE, 1))
    cut = cut_out(ramp, np.array([[0.25, 0, 0.5, 1]], np.float32))
    np.testing.assert_allclose(np.diff(cut[0, 0]), 0.5, atol=1e-4)
    np.testing.assert_allclose((cut @ slope(SIDE).T)[0, 0], 0.5 * SIDE, rtol=1e-3)
