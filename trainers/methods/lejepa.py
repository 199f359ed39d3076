"""LeJEPA (Balestriero & LeCun 2025): views of an image agree, and their vectors are spread as a Gaussian; no teacher, one weight."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainers.augmentations.pipeline import AugmentConfig, ViewSpec, two_views
from trainers.losses import sigreg, spread_from_centre
from trainers.methods.base import Method, Progress, Step
from trainers.models.backbones import feature_dim
from trainers.models.heads import mlp
from trainers.runtime.seeds import seeded
from trainers.training.distributed import gather


@dataclass(frozen=True, slots=True)
class LeJEPASettings:
    """Settings of LeJEPA (sections 4 and 5)."""

    weight: float = 0.05  # of SIGReg; agreement has the rest
    slices: int = 256  # random directions, new ones in every step
    hidden: int = 512
    dim: int = 64
    local_crops: int = 0
    local_size: float = 0.5  # side of a local crop as a share of the view's
    local_max: float = 0.4
    local_min: float = 0.1


class LeJEPA(Method):
    Settings = LeJEPASettings
    export_branch = "online"

    def __init__(self, backbone: nn.Module, settings: LeJEPASettings, views: tuple[ViewSpec, ...]) -> None:
        super().__init__(backbone, settings, views)
        self.settings = settings
        self.backbone = backbone
        self.projection = mlp([feature_dim(backbone), settings.hidden, settings.hidden, settings.dim])

    @classmethod
    def make_views(cls, augment: AugmentConfig, image_size: int, settings: LeJEPASettings) -> tuple[ViewSpec, ...]:
        part = replace(augment, crop_min=settings.local_min, crop_max=settings.local_max)
        local = ViewSpec(round(image_size * settings.local_size), augment.blur[1], augment.solarize[1], part)
        return (*two_views(augment, image_size), *[local] * settings.local_crops)

    def loss(self, views: Sequence[Tensor], at: Progress) -> Step:
        with seeded(at.seed, views[0].device):
            features = torch.cat(
                [self.backbone(torch.cat(list(same))) for _, same in groupby(views, key=lambda v: v.shape[-1])]
            )
        z = self.projection(features).view(len(views), -1, self.settings.dim)  # (V, B, D)
        rng = torch.Generator(z.device).manual_seed(at.seed)
        directions = F.normalize(
            torch.randn(self.settings.dim, self.settings.slices, generator=rng, device=z.device), dim=0
        )
        spread = torch.stack([sigreg(gather(view), directions) for view in z]).mean()  # every view, global ones too
        agreement = spread_from_centre(z, centre_views=2)
        loss = self.settings.weight * spread + (1 - self.settings.weight) * agreement
        logs = {"sigreg": spread.detach(), "agreement": agreement.detach(), "width": z[0].detach().std(dim=0).mean()}
        return Step(loss, z[0].detach(), logs)

    @property
    def first_projection(self) -> nn.Module:
        return self.projection[:3]

    @property
    def export_backbone(self) -> nn.Module:
        return self.backbone
