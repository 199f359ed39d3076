"""Jigsaw (Noroozi & Favaro 2016): tell in which order the pieces of a picture were laid."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import permutations

import torch
from torch import Tensor, nn

from trainers.augmentations.pipeline import AugmentConfig, ViewSpec
from trainers.methods.base import Method, Progress, Step
from trainers.models.backbones import feature_dim
from trainers.runtime.seeds import mix, seeded


@dataclass(frozen=True, slots=True)
class JigsawSettings:
    """Settings of Jigsaw (section 3)."""

    grid: int = 2  # pieces on a side; 3 for large images
    orders: int = 24  # permutations to tell apart; 100 and more for a grid of 3
    gap: float = 0.25  # share of a cell that a piece leaves free, so that edges do not continue; a piece lies anywhere in its cell
    piece: float = 0.5  # side of a piece as a share of the view's
    hidden: int = 512


class Jigsaw(Method):
    Settings = JigsawSettings
    export_branch = "trunk"
    orders: Tensor

    def __init__(self, backbone: nn.Module, settings: JigsawSettings, views: tuple[ViewSpec, ...]) -> None:
        super().__init__(backbone, settings, views)
        self.grid = settings.grid
        self.cell = views[0].size // settings.grid
        self.piece = max(1, round(self.cell * (1 - settings.gap)))
        self.backbone = backbone
        dim, pieces = feature_dim(backbone), settings.grid**2
        self.narrow = nn.Sequential(
            nn.Linear(dim, settings.hidden), nn.BatchNorm1d(settings.hidden), nn.ReLU(inplace=True)
        )
        orders = distant_orders(pieces, settings.orders)
        self.classify = nn.Linear(pieces * settings.hidden, len(orders))
        self.register_buffer("orders", orders)

    @classmethod
    def make_views(cls, augment: AugmentConfig, image_size: int, settings: JigsawSettings) -> tuple[ViewSpec, ...]:
        cell = round(image_size * settings.piece / (1 - settings.gap))
        return (ViewSpec(settings.grid * cell, 0.0, 0.0, replace(augment, rotate=0.0)),)

    def loss(self, views: Sequence[Tensor], at: Progress) -> Step:
        (x,) = views
        rng = torch.Generator(x.device).manual_seed(at.seed)
        which = torch.randint(len(self.orders), (len(x),), generator=rng, device=x.device)
        pieces = torch.stack(self._cut(x, at.seed), dim=1)  # (B, pieces, 3, p, p)
        # Its own mean and spread would betray where a piece comes from.
        pieces = (pieces - pieces.mean(dim=(2, 3, 4), keepdim=True)) / (pieces.std(dim=(2, 3, 4), keepdim=True) + 1e-6)
        laid = pieces.gather(1, self.orders[which][:, :, None, None, None].expand_as(pieces))
        with seeded(at.seed, x.device):  # drop-path
            features = self.backbone(laid.flatten(0, 1))  # (B pieces, D)
        logits = self.classify(self.narrow(features).view(len(x), -1))
        right = (logits.argmax(dim=1) == which).float().mean()
        return Step(
            nn.functional.cross_entropy(logits.float(), which),
            features[:: self.grid**2].detach(),
            {"order_accuracy": right},
        )

    def _cut(self, x: Tensor, seed: int) -> list[Tensor]:
        """Cut one piece out of each cell, at a place drawn for the batch: pieces times (B, 3, p, p)."""
        room = self.cell - self.piece + 1
        rng = torch.Generator().manual_seed(mix(seed, 1))  # the processor must know where to cut
        shifts = torch.randint(room, (self.grid, self.grid, 2), generator=rng).tolist()
        return [
            x[
                :,
                :,
                row * self.cell + dy : row * self.cell + dy + self.piece,
                column * self.cell + dx : column * self.cell + dx + self.piece,
            ]
            for row, line in enumerate(shifts)
            for column, (dy, dx) in enumerate(line)
        ]

    @property
    def sizes(self) -> set[int]:
        return {self.piece}

    @property
    def uniform_loss(self) -> float:
        return math.log(len(self.orders))

    @property
    def export_backbone(self) -> nn.Module:
        return self.backbone


def distant_orders(pieces: int, count: int) -> Tensor:
    """Pick permutations that differ in many places, greedily by Hamming distance: (orders, pieces). Algorithm 1 of the paper.

    Of large sets a fixed sample is searched.
    """
    rng = torch.Generator().manual_seed(0)
    if pieces <= 6:
        pool = torch.tensor(list(permutations(range(pieces))))
    else:
        pool = torch.stack([torch.randperm(pieces, generator=rng) for _ in range(20_000)])
    chosen = [int(torch.randint(len(pool), (1,), generator=rng))]
    difference = torch.full((len(pool),), pieces + 1)
    while len(chosen) < min(count, len(pool)):
        difference = torch.minimum(difference, (pool != pool[chosen[-1]]).sum(dim=1))
        chosen.append(int(difference.argmax()))
    return pool[chosen]
