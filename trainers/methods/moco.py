"""MoCo v1 and v2 (He et al. 2020; Chen et al. 2020): find an image's key, made by a slow teacher, among a queue of older keys."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainers.augmentations import ViewSpec
from trainers.losses import info_nce_queue
from trainers.methods.base import Bank, Method, Progress, Step, Variant
from trainers.methods.situation import MEDIUM, Situation, power_of_two
from trainers.models.backbones import feature_dim
from trainers.models.heads import mlp
from trainers.models.queue import enqueue, new_queue
from trainers.models.teacher import make_teacher, update_teacher
from trainers.runtime.seeds import seeded
from trainers.settings import setting
from trainers.training.distributed import gather_keys

MOST_GROUPS, GROUP = 8, 32  # groups of fewer images are slower and no better


@dataclass(frozen=True, slots=True)
class MoCoSettings:
    """Settings of MoCo."""

    head: Literal["linear", "mlp"] = "mlp"  # v1: linear
    dim: int = setting(128, least=1)
    temperature: float = setting(0.2, above=0, most=10, usual=(0.01, 2))  # v1: 0.07
    # Of the teacher, constant; the paper: 0.999 with a queue of 65,536
    momentum: float = setting(0.99, least=0, most=1, usual=(0.8, 1))
    # Keys; not more than images, because an image would meet its own older keys as negatives.
    queue: int = setting(4096, least=1)
    symmetric: bool = True  # each view is the query once; an option of the authors' code for small images
    # Parts of the batch with their own BatchNorm statistics, as if on that many devices; None: one for 32 images, at most 8 as in the paper
    groups: int | None = setting(None, least=1)


class MoCo(Method):
    variants: ClassVar = {
        "moco-v1": Variant(
            "for comparison with the paper",
            own={"head": "linear", "temperature": 0.07, "symmetric": False},
            # As in the official code: no blur, jitter always, strong hue, a low rate that falls in steps, a weak decay.
            augment={"blur": [0.0, 0.0], "jitter": 1.0, "hue": 0.4},
            optimizer={"lr": 0.03, "weight_decay": 1e-4, "schedule": "steps"},
        ),
        "moco-v2": Variant("like simclr, with negatives from a queue"),
    }
    Settings = MoCoSettings
    cures: ClassVar = {
        "point": "a slower teacher (momentum nearer 1)",
        "line": "a lower temperature",
    }
    export_branch = "online"
    has_negatives = True
    keys: Tensor
    pointer: Tensor

    @classmethod
    def recipe(cls, situation: Situation) -> dict[str, Any]:
        large = situation.images >= MEDIUM
        # Half the collection: an image seldom meets its own older key.
        queue = max(16, min(65_536 if large else 4096, power_of_two(situation.images // 2)))
        return {"momentum": 0.999 if large else 0.99, "queue": queue}

    @classmethod
    def doubts(cls, settings: MoCoSettings, images: int) -> list[str]:
        if settings.queue <= images:
            return []
        return [
            f"a queue of {settings.queue} keys is longer than the {images} images: an image meets its own older keys as negatives"
        ]

    def __init__(self, backbone: nn.Module, settings: MoCoSettings, views: tuple[ViewSpec, ...]) -> None:
        super().__init__(backbone, settings, views)
        self.settings = settings
        dim = feature_dim(backbone)
        head = nn.Linear(dim, settings.dim) if settings.head == "linear" else mlp([dim, dim, settings.dim], norm=False)
        self.online = nn.Sequential(backbone, head)
        self.teacher = make_teacher(self.online)
        self.register_buffer("keys", new_queue(settings.queue, settings.dim))
        self.register_buffer("pointer", torch.zeros((), dtype=torch.long))

    def loss(self, views: Sequence[Tensor], at: Progress) -> Step:
        with seeded(at.seed, views[0].device):  # drop-path
            queries = [self._in_groups(self.online, views[q]) for q, _ in self._pairs]  # (B, D) each
        keys = [self._shuffled_keys(views[k], at.seed + k) for _, k in self._pairs]
        losses = [
            info_nce_queue(q, k, self.keys, self.settings.temperature) for q, k in zip(queries, keys, strict=True)
        ]
        # All keys enter the queue after the step: between the two losses a key would become its own image's negative.
        return Step(torch.stack(losses).mean(), queries[0].detach(), {}, torch.cat(keys))

    def image_losses(self, views: Sequence[Tensor], at: Progress, bank: Bank | None) -> Tensor:
        """Compute the loss of each image; the bank is in place of the queue, which may hold older keys of the image itself."""
        assert bank is not None
        others, same = bank.vectors.flatten(0, 1), bank.same.repeat(1, len(bank.vectors))
        return torch.stack([
            info_nce_queue(self.online(views[q]), self.teacher(views[k]), others, self.settings.temperature, same, "none")
            for q, k in self._pairs
        ]).mean(dim=0)  # fmt: skip

    def bank_vectors(self, views: Sequence[Tensor]) -> Tensor:
        return F.normalize(torch.stack([self.teacher(views[k]) for _, k in self._pairs]).float(), dim=2)

    @property
    def _pairs(self) -> list[tuple[int, int]]:
        """The views of a query and of its key."""
        return [(0, 1), (1, 0)] if self.settings.symmetric else [(0, 1)]

    @torch.no_grad()
    def _shuffled_keys(self, view: Tensor, seed: int) -> Tensor:
        """Compute the keys of a view in shuffled groups, so that a query and its key do not share their batch statistics."""
        rng = torch.Generator(view.device).manual_seed(seed)
        order = torch.randperm(len(view), generator=rng, device=view.device)
        return self._in_groups(self.teacher, view[order])[order.argsort()]

    def _in_groups(self, network: nn.Module, x: Tensor) -> Tensor:
        wanted = self.settings.groups or min(MOST_GROUPS, len(x) // GROUP)
        groups = max(1, min(wanted, len(x) // 2))  # BatchNorm needs two images
        return torch.cat([network(part) for part in x.tensor_split(groups)])

    def after_step(self, carry: Tensor | None, at: Progress) -> dict[str, float]:
        assert carry is not None
        update_teacher(self.teacher, self.online, self.settings.momentum)
        enqueue(self.keys, self.pointer, gather_keys(carry))
        return {"teacher_momentum": self.settings.momentum}

    @property
    def backbones(self) -> list[nn.Module]:
        return [network.get_submodule("0") for network in (self.online, self.teacher)]

    @property
    def first_projection(self) -> nn.Module | None:
        if self.settings.head == "linear":
            return None
        return nn.Sequential(*islice(self.online.get_submodule("1").children(), 2))

    @property
    def export_backbone(self) -> nn.Module:
        return self.online.get_submodule("0")
