"""Likeness of pictures against naive loops, and on copies whose windows are known."""

import numpy as np
import pytest
from PIL import Image

from featurestore.curation import alignment
from featurestore.curation.alignment import (
    CELLS,
    COARSE,
    GROUP,
    LEAST_AREA,
    SIDE,
    areas,
    blurred,
    coarse_likeness,
    correlation,
    likeness,
    mirrored,
    normalised,
    reduced,
    resized,
    window_maps,
    windows,
)
from featurestore.curation.pairs import COARSE_LEAST
from tests.featurestore.curation.pictures import COPIES, Copy, crop, draw, mirror


def thumbnail(picture: Image.Image) -> np.ndarray:
    return np.asarray(picture.convert("L").resize((SIDE, SIDE), Image.Resampling.BILINEAR))


def one(whole: np.ndarray, part: np.ndarray, mirror: bool = False) -> float:
    return float(likeness(np.stack([whole, part]), np.array([0]), np.array([1]), mirror)[0])


def naive_coarse(whole: np.ndarray, part: np.ndarray) -> float:
    """The best correlation of CELLS x CELLS means over all windows of a picture reduced to COARSE pixels, by loops."""
    reduced = Image.fromarray(whole.astype(np.float32)).resize((COARSE, COARSE), Image.Resampling.BOX)
    asked = np.asarray(
        Image.fromarray(part.astype(np.float32)).resize((CELLS, CELLS), Image.Resampling.BOX), np.float64
    )
    best = -1.0
    for left, top, width, height in windows():
        seen = np.asarray(reduced.crop((left, top, left + width, top + height)), np.float64)
        cells = [mean_of(seen, y, x, height / CELLS, width / CELLS) for y in range(CELLS) for x in range(CELLS)]
        best = max(best, float(np.corrcoef(cells, asked.ravel())[0, 1]))
    return best


def mean_of(seen: np.ndarray, y: int, x: int, tall: float, wide: float) -> float:
    """The mean of a rectangle, pixels at its edges counting by the area that is inside."""
    total = 0.0
    for row in range(int(y * tall), min(len(seen), int((y + 1) * tall) + 1)):
        for column in range(int(x * wide), min(len(seen[0]), int((x + 1) * wide) + 1)):
            high = max(0.0, min((y + 1) * tall, row + 1) - max(y * tall, row))
            broad = max(0.0, min((x + 1) * wide, column + 1) - max(x * wide, column))
            total += seen[row, column] * high * broad
    return total / (tall * wide)


def test_the_coarse_search_is_that_of_the_loops() -> None:
    pictures = np.stack([thumbnail(draw(seed)) for seed in range(3)] + [thumbnail(crop(draw(0)))])
    left, right = np.array([0, 0, 1, 0]), np.array([1, 3, 2, 3])
    found = coarse_likeness(reduced(pictures), left, right)
    for row, (a, b) in enumerate(zip(left[:2], right[:2], strict=True)):
        expected = [naive_coarse(pictures[a], pictures[b]), naive_coarse(pictures[b], pictures[a])]
        expected += [naive_coarse(pictures[a], pictures[b][:, ::-1]), naive_coarse(pictures[b], pictures[a][:, ::-1])]
        np.testing.assert_allclose(found[row], expected, atol=1e-3)
    np.testing.assert_array_equal(found[1], found[3])


@pytest.mark.parametrize("together", [1, 3, 512])
def test_groups_of_many_pairs_give_the_same(together: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture with more pairs than a group holds, and pictures with none."""
    rng = np.random.default_rng(0)
    pictures = reduced(rng.integers(0, 256, (3 * GROUP, SIDE, SIDE), np.uint8))
    left = np.concatenate([np.zeros(2 * GROUP + 3, np.int64), [7, 5]])
    right = np.concatenate([np.arange(1, 2 * GROUP + 4), [8, 90]])
    expected = np.concatenate([coarse_likeness(pictures, left[n : n + 1], right[n : n + 1]) for n in range(len(left))])
    monkeypatch.setattr(alignment, "TOGETHER", together)
    np.testing.assert_allclose(coarse_likeness(pictures, left, right), expected, atol=1e-5)
    assert coarse_likeness(pictures, left[:0], right[:0]).shape == (0, 4)


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
    assert one(thumbnail(picture), thumbnail(crop(picture, left, top, share))) > 0.99


@pytest.mark.parametrize(("across", "down"), [(1.0, 0.6), (0.7, 1.0), (0.9, 0.67), (0.62, 0.97)])
def test_parts_of_another_shape_pass_both_searches(across: float, down: float) -> None:
    for seed in range(4):
        picture = draw(seed, 300, 300)
        for left, top in ((0.0, 0.0), (1 - across, 1 - down), ((1 - across) / 2, (1 - down) / 2)):
            box = (round(300 * left), round(300 * top), round(300 * (left + across)), round(300 * (top + down)))
            pair = np.stack([thumbnail(picture), thumbnail(picture.crop(box))])
            assert coarse_likeness(reduced(pair), np.array([0]), np.array([1])).max() > COARSE_LEAST
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
        assert np.abs(coarse_likeness(reduced(np.stack([a, b])), np.array([0]), np.array([1]))).max() < 0.3


def test_parts_of_the_mathematics() -> None:
    np.testing.assert_allclose(areas(4, 2), [[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]])
    np.testing.assert_allclose(areas(3, 2), [[2 / 3, 1 / 3, 0], [0, 1 / 3, 2 / 3]], atol=1e-6)
    images = np.arange(2 * SIDE**2, dtype=np.float32).reshape(2, SIDE, SIDE)
    np.testing.assert_allclose(resized(images, 1)[:, 0, 0], images.mean(axis=(1, 2)), rtol=1e-5)
    np.testing.assert_array_equal(mirrored(mirrored(images)), images)
    assert blurred(images).shape == images.shape
    np.testing.assert_allclose(blurred(images)[:, 4:-4, 4:-4], images[:, 4:-4, 4:-4], rtol=1e-4)  # slopes stay
    unit, lengths = normalised(np.array([[3.0, -3.0, 3.0, -3.0], [9, 9, 9, 9]], np.float32))
    assert unit.tolist() == [[0.5, -0.5, 0.5, -0.5], [0, 0, 0, 0]]
    assert lengths.tolist() == [[6], [0]]
    np.testing.assert_allclose(correlation(images, -images), [-1, -1], atol=1e-5)
    assert len(set(windows())) == len(windows())
    assert min(width * height for _, _, width, height in windows()) >= LEAST_AREA * COARSE**2
    assert {(16, 16), (16, 10), (10, 14), (11, 11)} <= {(width, height) for _, _, width, height in windows()}
    assert window_maps().shape == (len(windows()) * CELLS**2, COARSE**2)
    np.testing.assert_allclose(window_maps().sum(axis=1), 1, atol=1e-5)
