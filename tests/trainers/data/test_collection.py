"""What a look at a collection finds: grey images, and a left and a right."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from featurestore.errors import SourceError
from featurestore.sources import ImageFile
from trainers.data import collection
from trainers.data import images as data
from trainers.data.collection import Look, load_sample, look_at, tell_from_mirror_images


def bars(count: int, side: int | None) -> Tensor:
    """Draw images with a bright bar: in their left half for side 0, in either for None; uint8 (N, 3, 16, 16)."""
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 60, (count, 3, 16, 16), np.uint8)
    for image in pixels:
        column = int(rng.integers(1, 6)) + 8 * (int(rng.integers(2)) if side is None else side)
        image[:, 2:14, column : column + 2] = 220
    return torch.from_numpy(pixels)


def test_a_network_tells_images_from_their_mirror_images_only_where_sides_differ(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(collection, "STEPS", 60)
    one_sided, pairs = tell_from_mirror_images(bars(200, side=0))
    assert one_sided == pytest.approx(1.0, abs=0.05)
    assert pairs == 50
    both, _ = tell_from_mirror_images(bars(200, side=None))
    assert both == pytest.approx(0.5, abs=0.2)
    assert tell_from_mirror_images(bars(200, side=0)) == (one_sided, pairs)  # the same each time


@pytest.mark.parametrize(
    ("told_apart", "pairs", "has_sides"),
    [(0.96, 250, True), (0.59, 10_000, False), (0.7, 20, False), (0.7, 100, True), (0.5, 0, False)],
)
def test_sides_differ_where_the_share_is_large_and_certain(told_apart: float, pairs: int, has_sides: bool) -> None:
    """0.7 of 100 pairs: 4 standard errors of 0.05; of 20: 1.8 of 0.11."""
    assert Look(False, told_apart, pairs).has_sides == has_sides


@pytest.mark.parametrize("grey", [True, False])
def test_grey_images_are_found_and_few_are_not_trained_on(grey: bool, tmp_path: Path) -> None:
    for number in range(12):
        image = np.full((20, 20, 3), 20 * number, np.uint8)
        if not grey and number == 7:
            image[0, 0, 0] ^= 255
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    assert look_at(load_sample(data.list_training_files(tmp_path).training).pixels) == Look(grey, 0.5, 0)


def test_images_that_cannot_be_read_are_named() -> None:
    with pytest.raises(SourceError, match="none of 1 files could be read"):
        load_sample([ImageFile("absent.png", None, None, 1, 0)])
