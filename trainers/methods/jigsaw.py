"""Jigsaw (Noroozi & Favaro 2016): predict the order of an image's shuffled pieces."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import permutations
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from trainers.augmentations import AugmentConfig, ViewSpec
from trainers.methods.base import Bank, Method, Progress, Step, Variant
from trainers.methods.situation import Situation, crop_share
from trainers.models.backbones import feature_dim
from trainers.runtime.seeds import mix, seeded
from trainers.settings import setting


@dataclass(frozen=True, slots=True)
class JigsawSettings:
    """Settings of Jigsaw (section 3)."""

    grid: int = setting(2, least=1)  # pieces on a side; 3 for large images
    orders: int = setting(24, least=1)  # permutations to tell apart; 100 and more for a grid of 3
    # Share of a cell's side that a piece leaves free, so that edges do not continue; a piece lies anywhere in its cell.
    gap: float = setting(0.25, least=0, below=1)
    piece: float = setting(0.5, above=0, most=1)  # side of a piece as a share of the view's
    hidden: int = setting(512, least=1)


class Jigsaw(Method):
    variants: ClassVar = {
        "jigsaw": Variant(
            "for comparison: the classic pretext task, weak today", augment={"grey": 0.66, "crop_min": 0.6}
        )
    }
    Settings = JigsawSettings
    cures: ClassVar = {"uniform": "fewer jigsaw.orders"}
    crop_setting = "piece"
    export_branch = "trunk"
    orders: Tensor

    @classmethod
    def recipe(cls, situation: Situation) -> dict[str, Any]:
        if situation.view_size > 64:
            return {"grid": 3, "orders": 100, "piece": 0.33}
        return {"grid": 2, "orders": 24, "piece": crop_share(situation.view_size)}

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
        which = self._draw_orders(len(x), x.device, at)
        logits, features = self._answer(x, which, at)
        correct = (logits.argmax(dim=1) == which).float().mean()
        return Step(
            nn.functional.cross_entropy(logits.float(), which),
            features[:: self.grid**2].detach(),
            {"order_accuracy": correct},
        )

    def image_losses(self, views: Sequence[Tensor], at: Progress, bank: Bank | None) -> Tensor:
        (x,) = views
        which = self._draw_orders(1, x.device, at).expand(len(x))
        return nn.functional.cross_entropy(self._answer(x, which, at)[0].float(), which, reduction="none")

    def _draw_orders(self, count: int, device: torch.device, at: Progress) -> Tensor:
        """Draw the orders into which the pieces of so many images are put: (count,)."""
        rng = torch.Generator(device).manual_seed(at.seed)
        return torch.randint(len(self.orders), (count,), generator=rng, device=device)

    def _answer(self, x: Tensor, which: Tensor, at: Progress) -> tuple[Tensor, Tensor]:
        """Shuffle the pieces of images, and compute logits of all orders, (B, orders), and the features of the pieces, (B pieces, D)."""
        pieces = torch.stack(self._cut(x, at.seed), dim=1)  # (B, pieces, 3, p, p)
        # A piece's own mean and spread would give away where it comes from.
        pieces = (pieces - pieces.mean(dim=(2, 3, 4), keepdim=True)) / (pieces.std(dim=(2, 3, 4), keepdim=True) + 1e-6)
        shuffled = pieces.gather(1, self.orders[which][:, :, None, None, None].expand_as(pieces))
        with seeded(at.seed, x.device):  # drop-path
            features = self.backbone(shuffled.flatten(0, 1))  # (B pieces, D)
        return self.classify(self.narrow(features).view(len(x), -1)), features

    def _cut(self, x: Tensor, seed: int) -> list[Tensor]:
        """Cut one piece out of each cell, at a position drawn for the whole batch: one tensor (B, 3, p, p) a cell."""
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

    Above six pieces a fixed sample of the permutations is searched.
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
