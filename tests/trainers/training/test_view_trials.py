"""Whether views should keep colours, or left and right, by short trainings of a small network."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from featurestore.sources import ImageFile
from trainers.augmentations import AugmentConfig
from trainers.data.images import Images
from trainers.training import view_trials
from trainers.training.labelled_sample import take_sample
from trainers.training.view_trials import Trial, crops_found, learn_from, try_views

COUNT, SIDE = 160, 24


class Hue(nn.Module):
    """Sees the mean colour of an image alone."""

    def forward(self, x: Tensor) -> Tensor:
        return x.mean(dim=(2, 3))


class Brightness(nn.Module):
    """Sees where it is bright, and no colour."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.nn.functional.adaptive_avg_pool2d(x.mean(dim=1), 4).flatten(1)


def images(shared_colours: bool, labels: bool = True) -> Images:
    """Draw noise in one colour: one of four, which are the labels; or any colour, with the place of a bright corner as the label."""
    rng = np.random.default_rng(0)
    numbers = rng.integers(4, size=COUNT)
    palette = np.array([[1, 0.2, 0.2], [0.2, 1, 0.2], [0.2, 0.2, 1], [0.8, 0.8, 0.2]])
    colours = palette[numbers] if shared_colours else rng.uniform(0.2, 1, (COUNT, 3))
    pixels = rng.uniform(60, 140, (COUNT, 1, SIDE, SIDE)) * colours[:, :, None, None]
    for image, number in zip(pixels, numbers, strict=True):
        if not shared_colours:
            half = SIDE // 2
            row, column = divmod(int(number), 2)
            image[:, row * half : (row + 1) * half, column * half : (column + 1) * half] += 100
    files = (ImageFile(f"{i}.png", str(number) if labels else None, None, 1, 0) for i, number in enumerate(numbers))
    return Images(torch.from_numpy(pixels.astype(np.uint8)), tuple(files), (), "")


@pytest.fixture
def taught(monkeypatch: pytest.MonkeyPatch) -> None:
    """The network that sees colours is one of them, the other is blind to them."""
    monkeypatch.setattr(view_trials, "learn_from", lambda _, views: Brightness() if views.hue else Hue())


def colour_trial(drawn: Images) -> Trial:
    usual = AugmentConfig(flip=0.0)
    keeping = {"colour": replace(usual, hue=0.0, saturation=0.0, grey=0.0)}
    [trial] = try_views(drawn.pixels, usual, keeping, take_sample(drawn, None)).values()
    return trial


@pytest.mark.usefixtures("taught")
def test_by_labels_colours_matter_where_they_name_images_better() -> None:
    content, accident = (colour_trial(images(shared)) for shared in (True, False))
    assert content.labelled
    assert content.kept > 0.9 > 0.5 > content.changed
    assert content.matters
    assert accident.changed > 0.9 > 0.5 > accident.kept
    assert not accident.matters


@pytest.mark.usefixtures("taught")
def test_without_labels_colours_matter_where_many_images_share_them() -> None:
    shared, own = (colour_trial(images(kind, labels=False)) for kind in (True, False))
    assert not shared.labelled  # there are none
    assert own.kept > 2 * shared.kept
    assert not own.matters


def test_a_trial_says_what_it_found_and_asks_for_more_than_luck() -> None:
    by_labels = Trial(0.9, 0.5, True)
    assert by_labels.matters
    assert str(by_labels) == "a small network that tells them apart has a k-NN accuracy of 0.90, one that does not 0.50"
    assert not Trial(0.52, 0.5, True).matters
    without = Trial(0.18, 0.26, False)
    assert without.matters
    assert str(without) == (
        "seeing them helps little to find an image again by another crop (18% of the images, 26% without), so many images share them"
    )
    assert "helps much" in str(Trial(0.5, 0.26, False))
    assert Trial(0.34, 0.26, False).matters
    assert not Trial(0.36, 0.26, False).matters


def test_a_short_training_learns_and_is_the_same_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(view_trials, "WIDTH", 8)
    views, pixels, before = AugmentConfig(flip=0.0), images(False).pixels, torch.get_rng_state()

    def taught_for(steps: int) -> Any:
        monkeypatch.setattr(view_trials, "STEPS", steps)
        return learn_from(pixels, views)

    untrained, trained, again = (taught_for(steps) for steps in (0, 40, 40))
    assert crops_found(trained, pixels, views) > 1.5 * crops_found(untrained, pixels, views)
    assert all(
        torch.equal(first, second) for first, second in zip(trained.parameters(), again.parameters(), strict=True)
    )
    assert torch.equal(torch.get_rng_state(), before)
    assert not trained.training
