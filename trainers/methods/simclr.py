"""SimCLR v1 and v2 (Chen et al. 2020a, b): agree on two views of an image, against all other views of the batch."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from trainers.augmentations.pipeline import ViewSpec
from trainers.losses import nt_xent
from trainers.methods.base import Method, Progress, Step
from trainers.models.backbones import feature_dim
from trainers.models.heads import simclr_projection
from trainers.runtime.seeds import seeded
from trainers.training.distributed import gather


@dataclass(frozen=True, slots=True)
class SimCLRSettings:
    """Settings of SimCLR (section 4.2 and appendix B; temperature 0.5 is its value for small images)."""

    temperature: float = 0.5
    hidden: int = 512
    dim: int = 128
    layers: int = 2  # v2: 3


class SimCLR(Method):
    Settings = SimCLRSettings
    export_branch = "online"

    def __init__(self, backbone: nn.Module, settings: SimCLRSettings, views: tuple[ViewSpec, ...]) -> None:
        super().__init__(backbone, settings, views)
        self.temperature = settings.temperature
        self.backbone = backbone
        self.projection = simclr_projection(feature_dim(backbone), settings.hidden, settings.dim, settings.layers)

    def loss(self, views: Sequence[Tensor], at: Progress) -> Step:
        with seeded(at.seed, views[0].device):  # drop-path
            z = self.projection(self.backbone(torch.cat(list(views))))  # (2B, D)
        z1, z2 = z.chunk(2)
        return Step(nt_xent(gather(z1), gather(z2), self.temperature), z1.detach(), {})

    @property
    def export_backbone(self) -> nn.Module:
        return self.backbone

    @property
    def first_projection(self) -> nn.Module:
        return self.projection[:3]
