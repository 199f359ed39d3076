"""BYOL (Grill et al. 2020): from one view, predict the output of a slowly following teacher for the other view."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from trainers.augmentations import ASYMMETRIC, ViewSpec
from trainers.losses import negative_cosine
from trainers.methods.base import Bank, Method, Progress, Step, Variant
from trainers.methods.situation import Situation, teacher_momentum
from trainers.models.backbones import feature_dim
from trainers.models.heads import byol_mlp
from trainers.models.teacher import make_teacher, update_teacher
from trainers.optimization.schedules import momentum_at
from trainers.runtime.seeds import seeded
from trainers.settings import setting


@dataclass(frozen=True, slots=True)
class BYOLSettings:
    """Settings of BYOL (section 3.3; widths for small networks)."""

    hidden: int = setting(1024, least=1)
    dim: int = setting(256, least=1)
    momentum: float = setting(0.99, least=0, most=1, usual=(0.8, 1))  # of the teacher at the start
    # cosine: the momentum rises to 1 along half a cosine
    momentum_schedule: Literal["cosine", "constant"] = setting("cosine", later=True)


class BYOL(Method):
    variants: ClassVar = {
        "byol": Variant(
            "without negatives, so it does not push similar images apart; wants more epochs than simclr",
            augment=ASYMMETRIC,
        )
    }
    Settings = BYOLSettings
    cures: ClassVar = {"point": "a slower teacher (byol.momentum nearer 1)"}
    export_branch = "online"

    @classmethod
    def recipe(cls, situation: Situation) -> dict[str, Any]:
        return {"momentum": teacher_momentum(situation)}

    def __init__(self, backbone: nn.Module, settings: BYOLSettings, views: tuple[ViewSpec, ...]) -> None:
        super().__init__(backbone, settings, views)
        self.settings = settings
        self.online = nn.Sequential(backbone, byol_mlp(feature_dim(backbone), settings.hidden, settings.dim))
        self.predictor = byol_mlp(settings.dim, settings.hidden, settings.dim)
        self.teacher = make_teacher(self.online)  # stays in train mode: its BatchNorm has statistics of its own

    def loss(self, views: Sequence[Tensor], at: Progress) -> Step:
        losses, z1 = self._losses(views, at)
        return Step(losses.mean(), z1.detach(), {})

    def image_losses(self, views: Sequence[Tensor], at: Progress, bank: Bank | None) -> Tensor:
        return self._losses(views, at)[0]

    def _losses(self, views: Sequence[Tensor], at: Progress) -> tuple[Tensor, Tensor]:
        """Compute the loss of each image (B,), and the projections of the first view (B, D)."""
        with seeded(at.seed, views[0].device):  # drop-path
            z1, z2 = (self.online(view) for view in views)  # (B, D) each
        with torch.no_grad():
            t1, t2 = (self.teacher(view) for view in views)
        first, second = (negative_cosine(self.predictor(z), t, "none") for z, t in ((z1, t2), (z2, t1)))
        return first + second, z1

    def after_step(self, carry: Tensor | None, at: Progress) -> dict[str, float]:
        s = self.settings
        momentum = momentum_at(at.fraction, s.momentum, s.momentum_schedule)
        update_teacher(self.teacher, self.online, momentum)
        return {"teacher_momentum": momentum}

    @property
    def backbones(self) -> list[nn.Module]:
        return [network.get_submodule("0") for network in (self.online, self.teacher)]

    @property
    def first_projection(self) -> nn.Module:
        return nn.Sequential(*islice(self.online.get_submodule("1").children(), 3))

    @property
    def export_backbone(self) -> nn.Module:
        return self.online.get_submodule("0")
