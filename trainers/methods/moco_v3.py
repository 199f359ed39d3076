"""MoCo v3 (Chen et al. 2021): no queue; keys of the batch, a predictor, and a frozen patch projection for ViTs."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn

from trainers.augmentations import ASYMMETRIC, ViewSpec
from trainers.losses import info_nce_batch, info_nce_queue
from trainers.methods.base import Bank, Method, Progress, Step, Variant
from trainers.methods.situation import Situation, teacher_momentum
from trainers.models.backbones import feature_dim
from trainers.models.heads import moco_v3_mlp
from trainers.models.teacher import make_teacher, update_teacher
from trainers.optimization.schedules import momentum_at
from trainers.runtime.seeds import seeded
from trainers.settings import setting
from trainers.training.distributed import gather, gather_keys


@dataclass(frozen=True, slots=True)
class MoCoV3Settings:
    """Settings of MoCo v3 (section 3; widths for small networks)."""

    temperature: float = setting(0.2, above=0, most=10, usual=(0.01, 2))  # 1.0 for ResNet-50
    hidden: int = setting(1024, least=1)
    dim: int = setting(256, least=1)
    momentum: float = setting(0.99, least=0, most=1, usual=(0.8, 1))  # of the teacher at the start
    # cosine: the momentum rises to 1 along half a cosine
    momentum_schedule: Literal["cosine", "constant"] = setting("cosine", later=True)


class MoCoV3(Method):
    variants: ClassVar = {
        "moco-v3": Variant(
            "for ViTs and large batches, without a queue; a ViT's patch projection stays random, as in the paper",
            augment=ASYMMETRIC,
        )
    }
    Settings = MoCoV3Settings
    cures: ClassVar = {
        "point": "a slower teacher (moco-v3.momentum nearer 1)",
        "line": "a lower temperature",
    }
    export_branch = "online"
    has_negatives = True

    @classmethod
    def recipe(cls, situation: Situation) -> dict[str, Any]:
        return {"momentum": teacher_momentum(situation)}

    @classmethod
    def recipe_for_network(cls, situation: Situation, is_transformer: bool) -> dict[str, Any]:
        return (
            {"optimizer": {"name": "adamw", "lr": 1.5e-4, "weight_decay": 0.1}} if is_transformer else {}
        )  # section 5

    def __init__(self, backbone: nn.Module, settings: MoCoV3Settings, views: tuple[ViewSpec, ...]) -> None:
        super().__init__(backbone, settings, views)
        self.settings = settings
        dim, hidden, out = feature_dim(backbone), settings.hidden, settings.dim
        is_vit = isinstance(backbone, VisionTransformer)
        if is_vit:
            backbone.get_submodule("patch_embed").requires_grad_(False)  # random, frozen: section 4.2
        self.online = nn.Sequential(
            backbone, moco_v3_mlp([dim, hidden, hidden, out] if is_vit else [dim, hidden, out], last_norm=True)
        )
        self.predictor = moco_v3_mlp([out, hidden, out], last_norm=is_vit)
        self.teacher = make_teacher(self.online)

    def loss(self, views: Sequence[Tensor], at: Progress) -> Step:
        with seeded(at.seed, views[0].device):  # drop-path
            z1, z2 = (self.online(view) for view in views)  # (B, D) each
        with torch.no_grad():
            k1, k2 = (gather_keys(self.teacher(view)) for view in views)
        q1, q2 = (gather(self.predictor(z)) for z in (z1, z2))
        loss = info_nce_batch(q1, k2, self.settings.temperature) + info_nce_batch(q2, k1, self.settings.temperature)
        return Step(loss, z1.detach(), {})

    def image_losses(self, views: Sequence[Tensor], at: Progress, bank: Bank | None) -> Tensor:
        assert bank is not None
        temperature = self.settings.temperature
        q1, q2 = (self.predictor(self.online(view)) for view in views)
        k1, k2 = (self.teacher(view) for view in views)
        first, second = (
            info_nce_queue(q, k, others, temperature, bank.same, "none")
            for q, k, others in ((q1, k2, bank.vectors[1]), (q2, k1, bank.vectors[0]))
        )
        return 2 * temperature * (first + second)  # the scale of `info_nce_batch`

    def bank_vectors(self, views: Sequence[Tensor]) -> Tensor:
        return F.normalize(torch.stack([self.teacher(view) for view in views]).float(), dim=2)

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
