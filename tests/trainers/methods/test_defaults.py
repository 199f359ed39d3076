"""The defaults of the methods: rates that fit the optimiser, and the colours of the papers."""

import dataclasses

import pytest
import torch

from trainers.augmentations.colour import colour_matrices
from trainers.augmentations.draws import Draws, draw
from trainers.config.resolve import resolve
from trainers.config.schema import Config
from trainers.methods import METHODS

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
