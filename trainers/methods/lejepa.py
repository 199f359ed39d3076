"""LeJEPA (Balestriero & LeCun 2025): the views of an image agree, and all vectors together form a Gaussian."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainers.augmentations import AugmentConfig, ViewSpec, two_views
from trainers.losses import sigreg, spread_from_centre
from trainers.methods.base import Bank, Method, Progress, Step, Variant
from trainers.methods.situation import Situation, crop_share
from trainers.models.backbones import encode_crops, feature_dim
from trainers.models.heads import mlp
from trainers.runtime.seeds import seeded
from trainers.settings import setting
from trainers.training.distributed import gather


@dataclass(frozen=True, slots=True)
class LeJEPASettings:
    """Settings of LeJEPA (sections 4 and 5)."""

    weight: float = setting(0.05, least=0, most=1)  # of SIGReg; agreement has the rest
    slices: int = setting(256, least=1)  # random directions, new ones in every step
    hidden: int = setting(512, least=1)
    dim: int = setting(64, least=1)
    local_crops: int = setting(0, least=0)
    local_size: float = setting(0.5, above=0, most=1)  # side of a local crop as a share of the view's
    local_max: float = setting(0.4, above=0, most=1)  # largest and smallest share of the area in a local crop
    local_min: float = setting(0.1, above=0, most="local_max")


class LeJEPA(Method):
    variants: ClassVar = {
        "lejepa": Variant(
            "no teacher and one weight; wants more epochs than simclr; a lower loss means better vectors",
            augment={"solarize": [0.0, 0.2]},
            optimizer={"name": "adamw", "lr": 1e-3, "weight_decay": 0.05},
        )
    }
    Settings = LeJEPASettings
    cures: ClassVar = {"point": "a larger weight of the spread (lejepa.weight)"}
    crop_setting = "local_size"
    export_branch = "online"

    @classmethod
    def recipe(cls, situation: Situation) -> dict[str, Any]:
        return {"local_size": crop_share(situation.view_size)}

    @classmethod
    def recipe_for_network(cls, situation: Situation, is_transformer: bool) -> dict[str, Any]:
        return {}  # its AdamW is for both kinds

    @classmethod
    def make_views(cls, augment: AugmentConfig, image_size: int, settings: LeJEPASettings) -> tuple[ViewSpec, ...]:
        part = replace(augment, crop_min=settings.local_min, crop_max=settings.local_max)
        local = ViewSpec(round(image_size * settings.local_size), augment.blur[1], augment.solarize[1], part)
        return (*two_views(augment, image_size), *[local] * settings.local_crops)

    def __init__(self, backbone: nn.Module, settings: LeJEPASettings, views: tuple[ViewSpec, ...]) -> None:
        super().__init__(backbone, settings, views)
        self.settings = settings
        self.backbone = backbone
        self.projection = mlp([feature_dim(backbone), settings.hidden, settings.hidden, settings.dim])

    def loss(self, views: Sequence[Tensor], at: Progress) -> Step:
        with seeded(at.seed, views[0].device):  # drop-path
            z = self._project(views)
        rng = torch.Generator(z.device).manual_seed(at.seed)
        directions = F.normalize(
            torch.randn(self.settings.dim, self.settings.slices, generator=rng, device=z.device), dim=0
        )
        spread = torch.stack(
            [sigreg(gather(view), directions) for view in z]
        ).mean()  # over all views, not the local ones alone
        agreement = spread_from_centre(z, centre_views=2)
        loss = self.settings.weight * spread + (1 - self.settings.weight) * agreement
        logs = {"sigreg": spread.detach(), "agreement": agreement.detach(), "width": z[0].detach().std(dim=0).mean()}
        return Step(loss, z[0].detach(), logs)

    def image_losses(self, views: Sequence[Tensor], at: Progress, bank: Bank | None) -> Tensor:
        """Compute how far the views of each image are apart; SIGReg is about all vectors together."""
        return (1 - self.settings.weight) * spread_from_centre(self._project(views), centre_views=2, reduction="none")

    def _project(self, views: Sequence[Tensor]) -> Tensor:
        """Compute the projections of V views: (V, B, D)."""
        return self.projection(encode_crops(self.backbone, views)).view(len(views), -1, self.settings.dim)  # type: ignore[no-any-return]

    @property
    def first_projection(self) -> nn.Module:
        return self.projection[:3]

    @property
    def export_backbone(self) -> nn.Module:
        return self.backbone
