"""How well an encoder tells images apart, whatever may change between two views of one: a figure that needs no labels.

It ranks encoders of one collection nearly as k-NN does, see benchmarks/results/proof.md. It takes what the views change for nuisance: where
they change what matters, it is wrong.
"""

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor, nn

from trainers.augmentations import ViewSpec, augment
from trainers.training.features import batch_for, device_of, vectors

BATCH = 128  # images whose views are made together


def encode_two_views(network: nn.Module, pixels: Tensor, view: ViewSpec) -> NDArray[np.float32]:
    """Encode two views of each image, the same each time: uint8 (N, 3, S, S) to (2 N, D), the second after the first."""

    def views(seed: int) -> Iterator[Tensor]:
        rng = Generator().manual_seed(seed)
        device = device_of(network, pixels)
        together = batch_for(view.size, device)
        for chunk in torch.split(pixels, BATCH):
            yield from torch.split(augment(chunk, view, rng).to(device), together)

    return np.concatenate([vectors(network, views(seed)) for seed in (0, 1)])


def view_top1(both: NDArray[np.float32]) -> float:
    """Compute the share of images whose first view is nearer to their second than to that of any other; both: (2 N, D), unit length."""
    first, second = np.split(both, 2)
    return float(((first @ second.T).argmax(axis=1) == np.arange(len(first))).mean())
