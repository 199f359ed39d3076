"""The defaults of the methods: rates that fit the optimiser, and the colours of the papers."""

import dataclasses

import pytest
import torch

from trainers.augmentations.colour import colour_matrices
from trainers.augmentations.draws import Draws, draw
from trainers.config import recipes
from trainers.config.resolve import resolve
from trainers.config.schema import Config
from trainers.methods import METHODS
from trainers.optimization.schedules import learning_rate

ADAM_AT_MOST = 5e-3


def check_rate(config: Config) -> None:
    adam = config.optimizer.name == "adamw"
    assert config.optimizer.lr <= ADAM_AT_MOST if adam else config.optimizer.lr > ADAM_AT_MOST


@pytest.mark.parametrize("name", sorted(METHODS))
def test_the_learning_rate_fits_the_optimiser(name: str) -> None:
    """Also when only the optimiser is given; a rate that is given stays."""
    check_rate(resolve({"method": name}))
    for optimizer in ("sgd", "adamw", "lars"):
        check_rate(resolve({"method": name, "optimizer": {"name": optimizer}}))
    assert resolve({"method": name, "optimizer": {"name": "adamw", "lr": 0.2}}).optimizer.lr == 0.2


def test_moco_v1_has_the_optimiser_of_its_paper() -> None:
    """Section 4: SGD, 0.03 for 256 images, momentum 0.9, decay 1e-4, a tenth of the rate at epochs 120 and 160 of 200."""
    o = resolve({"method": "moco-v1"}).optimizer
    assert (o.name, o.lr, o.momentum, o.weight_decay, o.weight_decay_end) == ("sgd", 0.03, 0.9, 1e-4, None)
    rates = [learning_rate(epoch / 200, o.lr, 0.0, o.schedule) for epoch in (0, 119, 121, 159, 161, 199)]
    assert rates == pytest.approx([0.03, 0.03, 0.003, 0.003, 0.0003, 0.0003])
    sgd = {"method": "moco-v1", "backbone": "vit_tiny_patch16_224", "optimizer": {"name": "sgd"}}
    assert resolve(sgd, recipe=recipes.choose(5000, "cuda")).optimizer.lr == 0.03


COLOURS = {  # brightness, contrast, saturation, hue; probabilities of these and of grey
    "moco-v1": (0.4, 0.4, 0.4, 0.4, 1.0, 0.2),
    "moco-v2": (0.4, 0.4, 0.4, 0.1, 0.8, 0.2),
    "byol": (0.4, 0.4, 0.2, 0.1, 0.8, 0.2),
    "dino": (0.4, 0.4, 0.2, 0.1, 0.8, 0.2),
    "ibot": (0.4, 0.4, 0.2, 0.1, 0.8, 0.2),
    "moco-v3": (0.4, 0.4, 0.2, 0.1, 0.8, 0.2),
    "simclr": (0.4, 0.4, 0.4, 0.1, 0.8, 0.2),  # strength 0.5 of (0.8, 0.8, 0.8, 0.2), as for CIFAR
}


@pytest.mark.parametrize("name", COLOURS)
def test_a_strength_of_colour_jitter_is_the_largest_change_of_the_factor(name: str) -> None:
    a = resolve({"method": name}).augment
    assert (a.brightness, a.contrast, a.saturation, a.hue, a.jitter, a.grey) == COLOURS[name]
    only = dataclasses.replace(a, contrast=0.0, saturation=0.0, hue=0.0, jitter=1.0, grey=0.0)
    factors = colour_matrices(
        torch.full((2000, 3, 1, 1), 0.5), only, Draws(draw(2000, torch.Generator().manual_seed(0)))
    )[:, 0, 0]
    assert factors.min().item() == pytest.approx(1 - COLOURS[name][0], abs=0.01)
    assert factors.max().item() == pytest.approx(1 + COLOURS[name][0], abs=0.01)
