"""MoCo v1 and v2 (He et al. 2020; Chen et al. 2020): tell an image's key, made by a slow teacher, from a queue of older keys."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Literal

import torch
from torch import Tensor, nn

from trainers.augmentations.pipeline import ViewSpec
from trainers.losses import info_nce_queue
from trainers.methods.base import Method, Progress, Step
from trainers.models.backbones import feature_dim
from trainers.models.heads import mlp
from trainers.models.queue import enqueue, new_queue
from trainers.models.teacher import make_teacher, update_teacher
from trainers.runtime.seeds import seeded
from trainers.training.distributed import gather_keys


@dataclass(frozen=True, slots=True)
class MoCoSettings:
    """Settings of MoCo."""

    head: Literal["linear", "mlp"] = "mlp"  # v1: linear
    dim: int = 128
    temperature: float = 0.2  # v1: 0.07
    momentum: float = 0.99  # of the teacher, constant; 0.999 with a queue of 65,536 and a million images
    queue: int = 4096  # keys; at most the number of images, or an image meets its own older keys
    symmetric: bool = True  # both views are queries once; the authors' code for small images has it as an option
    groups: int = 8  # parts of the batch with BatchNorm statistics of their own, as on so many devices


class MoCo(Method):
    Settings = MoCoSettings
    export_branch = "online"
    keys: Tensor
    pointer: Tensor

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
        pairs = [(0, 1), (1, 0)] if self.settings.symmetric else [(0, 1)]
        with seeded(at.seed, views[0].device):  # drop-path
            queries = [self._in_groups(self.online, views[q]) for q, _ in pairs]  # (B, D) each
        keys = [self._shuffled_keys(views[k], at.seed + k) for _, k in pairs]
        losses = [
            info_nce_queue(q, k, self.keys, self.settings.temperature) for q, k in zip(queries, keys, strict=True)
        ]
        # All keys join the queue after the step: one that joined between the two losses would be its own image's negative.
        return Step(torch.stack(losses).mean(), queries[0].detach(), {}, torch.cat(keys))

    @torch.no_grad()
    def _shuffled_keys(self, view: Tensor, seed: int) -> Tensor:
        """Keys of a view, computed in shuffled groups: a query and its key never share their batch statistics by place."""
        rng = torch.Generator(view.device).manual_seed(seed)
        order = torch.randperm(len(view), generator=rng, device=view.device)
        return self._in_groups(self.teacher, view[order])[order.argsort()]

    def _in_groups(self, network: nn.Module, x: Tensor) -> Tensor:
        groups = max(1, min(self.settings.groups, len(x) // 2))  # BatchNorm needs two images
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
        return (
            None
            if self.settings.head == "linear"
            else nn.Sequential(*islice(self.online.get_submodule("1").children(), 2))
        )

    @property
    def export_backbone(self) -> nn.Module:
        return self.online.get_submodule("0")
