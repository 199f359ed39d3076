"""The coarse search against naive loops."""

import numpy as np
import pytest
from PIL import Image

from featurestore.curation import coarse_search
from featurestore.curation.coarse_search import (
    ASKED,
    CELLS,
    COARSE,
    LEAST_AREA,
    coarse_likeness,
    reduced,
    window_shares,
    windows,
    windows_of,
)
from featurestore.storage.thumbnails import SIDE
from tests.featurestore.curation.pictures import crop, draw, thumbnail


def naive_coarse(whole: np.ndarray, part: np.ndarray) -> tuple[float, int]:
    """The best correlation of CELLS x CELLS means and its window, over all windows of a picture reduced to COARSE pixels, by loops."""
    reduced = Image.fromarray(whole.astype(np.float32)).resize((COARSE, COARSE), Image.Resampling.BOX)
    asked = np.asarray(
        Image.fromarray(part.astype(np.float32)).resize((CELLS, CELLS), Image.Resampling.BOX), np.float64
    )
    best = (-1.0, 0)
    for number, (left, top, width, height) in enumerate(windows()):
        seen = np.asarray(reduced.crop((left, top, left + width, top + height)), np.float64)
        cells = [mean_of(seen, y, x, height / CELLS, width / CELLS) for y in range(CELLS) for x in range(CELLS)]
        best = max(best, (float(np.corrcoef(cells, asked.ravel())[0, 1]), number))
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
        mirrored = [pictures[of][:, ::-1] for of in (b, a)]
        asked = [(a, pictures[b]), (b, pictures[a]), (a, mirrored[0]), (b, mirrored[1])]
        likeness, window = zip(*(naive_coarse(pictures[whole], part) for whole, part in asked), strict=True)
        np.testing.assert_allclose(found.likeness[row], likeness, atol=2e-3)
        assert found.window[row, 0] == window[0]
    np.testing.assert_array_equal(found.likeness[1], found.likeness[3])


@pytest.mark.parametrize("together", [1, 3, 512])
def test_many_pairs_of_one_picture_give_the_same(together: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """A picture with more pairs than a product holds, and pictures with none."""
    rng = np.random.default_rng(0)
    pictures = reduced(rng.integers(0, 256, (100, SIDE, SIDE), np.uint8))
    left = np.concatenate([np.zeros(2 * ASKED + 3, np.int64), [7, 5]])
    right = np.concatenate([np.arange(1, 2 * ASKED + 4), [8, 90]])
    alone = [coarse_likeness(pictures, left[n : n + 1], right[n : n + 1]) for n in range(len(left))]
    monkeypatch.setattr(coarse_search, "TOGETHER", together)
    found = coarse_likeness(pictures, left, right)
    np.testing.assert_allclose(found.likeness, np.concatenate([one.likeness for one in alone]), atol=1e-5)
    np.testing.assert_array_equal(found.window, np.concatenate([one.window for one in alone]))
    assert coarse_likeness(pictures, left[:0], right[:0]).likeness.shape == (0, 4)


def test_pictures_of_one_colour_fit_nowhere() -> None:
    flat = np.full((SIDE, SIDE), 77, np.uint8)
    noisy = flat + (np.arange(SIDE**2).reshape(SIDE, SIDE) % 2).astype(np.uint8)
    for a, b in ((flat, flat), (flat, thumbnail(draw(2))), (noisy, noisy[::-1])):
        found = coarse_likeness(reduced(np.stack([a, b])), np.array([0]), np.array([1]))
        assert np.abs(found.likeness).max() < 0.3


def test_windows() -> None:
    assert len(set(windows())) == len(windows())
    assert min(width * height for _, _, width, height in windows()) >= LEAST_AREA * COARSE**2
    assert {(16, 16), (16, 10), (10, 14), (11, 11)} <= {(width, height) for _, _, width, height in windows()}
    assert window_shares().min() == 0
    assert (window_shares()[:, :2] + window_shares()[:, 2:]).max() == 1
    level, contrast = windows_of(np.full((2, COARSE, COARSE), 9, np.float32))
    assert level.shape == (2, len(windows()), CELLS**2)
    np.testing.assert_allclose(level, 9, rtol=1e-5)
    np.testing.assert_allclose(contrast, 1 / (2 * CELLS), rtol=1e-3)  # FLAT
