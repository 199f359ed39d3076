"""DINO (Caron et al. 2021): from every crop, the student predicts the output of a slow teacher for the whole image."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from trainers.augmentations import ASYMMETRIC, AugmentConfig, ViewSpec, two_views
from trainers.losses import perplexity, self_distillation
from trainers.methods.base import Bank, Method, Progress, Step, Variant
from trainers.methods.situation import MEDIUM, Situation, crop_share, teacher_momentum
from trainers.models.backbones import encode_crops, feature_dim
from trainers.models.heads import DINOHead
from trainers.models.teacher import make_teacher, update_teacher
from trainers.optimization.schedules import momentum_at
from trainers.runtime.seeds import seeded
from trainers.settings import setting
from trainers.training.distributed import gather_keys

PROTOTYPES = ((20_000, 1024), (MEDIUM, 4096), (1_000_000, 16_384))  # by images: as many as the collection can fill
# Of DINO, and of what builds on it.
AUGMENT = {**ASYMMETRIC, "crop_min": 0.4}  # without local crops 0.14 (its README)
OPTIMIZER = {
    "name": "adamw",
    "lr": 1e-3,
    "weight_decay": 0.04,
    "weight_decay_end": 0.4,
    "warmup": 0.1,
    "clip": 3.0,
}


@dataclass(frozen=True, slots=True)
class DINOSettings:
    """Settings of DINO (section 3 and appendix; prototypes and widths for small collections)."""

    prototypes: int = setting(1024, least=1)
    hidden: int = setting(1024, least=1)
    bottleneck: int = setting(128, least=1)
    # BatchNorm in the hidden layers of the head (use_bn_in_head in the authors' code)
    head_norm: bool = setting(False, later=True)
    momentum: float = setting(0.99, least=0, most=1, usual=(0.8, 1))  # of the teacher at the start
    # cosine: the momentum rises to 1 along half a cosine
    momentum_schedule: Literal["cosine", "constant"] = setting("cosine", later=True)
    student_temperature: float = setting(0.1, above=0, most=10, usual=(0.01, 2))
    teacher_temperature_start: float = setting(0.04, above=0, most=10, usual=(0.01, 2))
    # After `teacher_warmup`; above 0.07 training is unstable
    teacher_temperature: float = setting(0.04, above=0, most=10, usual=(0.01, 2))
    teacher_warmup: float = setting(0.3, least=0, most=1)  # share of the training
    centre_momentum: float = setting(0.9, least=0, most=1)
    # Epochs in which the last layer does not change, but not more than a tenth of the training.
    frozen_epochs: int = setting(1, least=0)
    local_crops: int = setting(4, least=0)
    local_size: float = setting(0.5, above=0, most=1)  # side of a local crop as a share of the view's
    # Largest and smallest share of the area in a local crop; augment.crop_min is the smallest of a global one.
    local_max: float = setting(0.4, above=0, most=1)
    local_min: float = setting(0.1, above=0, most="local_max")


class Network(nn.Module):
    """Backbone and head, which are called separately: the backbone once a crop size, the head once on all features."""

    def __init__(self, backbone: nn.Module, head: DINOHead) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head


def cures(table: str) -> dict[str, str]:
    """Say what helps with a collapse, for the method whose settings stand in `table`."""
    return {
        "point": f"a slower teacher ({table}.momentum nearer 1)",
        "one prototype": f"a centre that moves ({table}.centre_momentum 0.9), a higher {table}.teacher_temperature",
        "uniform": f"a lower {table}.teacher_temperature, fewer {table}.prototypes, a faster teacher ({table}.momentum 0.99)",
    }


def teacher_temperature(settings: DINOSettings, at: Progress) -> float:
    """Give the temperature of the teacher's softmax, which rises over its warm-up."""
    share = min(1.0, at.fraction / settings.teacher_warmup) if settings.teacher_warmup else 1.0
    return settings.teacher_temperature_start + share * (
        settings.teacher_temperature - settings.teacher_temperature_start
    )


def is_frozen(settings: DINOSettings, at: Progress) -> bool:
    """Tell whether the last layer does not change in this step."""
    return at.epoch < settings.frozen_epochs and at.fraction < 0.1


class DINO(Method):
    variants: ClassVar = {
        "dino": Variant(
            "for ViTs and long trainings, with many crops of an image; exports the teacher",
            augment=AUGMENT,
            optimizer=OPTIMIZER,
            top={"drop_path": 0.1},
        )
    }
    Settings = DINOSettings
    cures: ClassVar = cures("dino")
    crop_setting = "local_size"
    export_branch = "teacher"
    centre: Tensor

    @classmethod
    def recipe(cls, situation: Situation) -> dict[str, Any]:
        images = situation.images
        return {
            "momentum": max(0.97, teacher_momentum(situation)),  # a faster teacher and its student agree on nothing
            "prototypes": next((number for below, number in PROTOTYPES if images < below), 65_536),
            "teacher_temperature": 0.04 if images < MEDIUM else 0.07,
            "local_size": crop_share(situation.view_size),
        }

    @classmethod
    def recipe_for_network(cls, situation: Situation, is_transformer: bool) -> dict[str, Any]:
        if is_transformer:
            return {}  # the defaults
        sgd = {"name": "sgd", "weight_decay_end": None}
        if situation.images < MEDIUM:
            # At the rate below, some hundred steps do not leave the uniform answer; its crops cost more than they give on small images.
            return {
                "drop_path": 0.0,
                "optimizer": {**sgd, "lr": 0.12, "weight_decay": 5e-4},
                "dino": {"head_norm": True},
            }
        return {  # the README of the authors' code, for ResNet-50
            "drop_path": 0.0,
            "augment": {"crop_min": 0.14},
            "optimizer": {**sgd, "lr": 0.03, "weight_decay": 1e-4},
            "dino": {"local_max": 0.14, "local_min": 0.05},
        }

    def __init__(self, backbone: nn.Module, settings: DINOSettings, views: tuple[ViewSpec, ...]) -> None:
        super().__init__(backbone, settings, views)
        self.settings = settings
        s = settings
        head = DINOHead(feature_dim(backbone), s.hidden, s.bottleneck, s.prototypes, s.head_norm)
        self.student = Network(backbone, head)
        self.teacher = make_teacher(self.student)
        self.register_buffer("centre", torch.zeros(settings.prototypes))

    @classmethod
    def make_views(cls, augment: AugmentConfig, image_size: int, settings: DINOSettings) -> tuple[ViewSpec, ...]:
        whole = two_views(augment, image_size)
        part = replace(augment, crop_min=settings.local_min, crop_max=settings.local_max)
        blurred = 0.5 if any(augment.blur) else 0.0
        local = ViewSpec(round(image_size * settings.local_size), blurred, 0.0, part)
        return (*whole, *[local] * settings.local_crops)

    def loss(self, views: Sequence[Tensor], at: Progress) -> Step:
        losses, teacher, features = self._losses(views, at)
        temperature = teacher_temperature(self.settings, at)
        logs = {"prototypes_used": perplexity((teacher - self.centre) / temperature)}
        return Step(losses.mean(), features.detach(), logs, teacher)

    def image_losses(self, views: Sequence[Tensor], at: Progress, bank: Bank | None) -> Tensor:
        return self._losses(views, at)[0]

    def _losses(self, views: Sequence[Tensor], at: Progress) -> tuple[Tensor, Tensor, Tensor]:
        """Compute the loss of each image (B,), the teacher's logits of both whole views (2B, P), and the student's features of the first (B, D)."""
        with torch.no_grad():
            features = self.teacher.backbone(torch.cat(list(views[:2])))
            teacher = self.teacher.head(features)  # (2B, P)
        with seeded(at.seed, views[0].device):  # drop-path
            student_features = encode_crops(self.student.backbone, views)
        student = self.student.head(student_features, is_frozen(self.settings, at))  # (V B, P)
        losses = self_distillation(
            student.view(len(views), -1, student.shape[1]),
            teacher.view(2, -1, teacher.shape[1]),
            self.centre,
            self.settings.student_temperature,
            teacher_temperature(self.settings, at),
            "none",
        )
        return losses, teacher, student_features[: len(views[0])]

    def after_step(self, carry: Tensor | None, at: Progress) -> dict[str, float]:
        assert carry is not None
        s = self.settings
        momentum = momentum_at(at.fraction, s.momentum, s.momentum_schedule)
        update_teacher(self.teacher, self.student, momentum)
        self.centre.lerp_(
            gather_keys(carry.float().mean(dim=0, keepdim=True)).mean(dim=0), 1 - self.settings.centre_momentum
        )
        return {"teacher_momentum": momentum, "teacher_temperature": teacher_temperature(self.settings, at)}

    @property
    def uniform_loss(self) -> float:
        return math.log(self.settings.prototypes)

    @property
    def backbones(self) -> list[nn.Module]:
        return [self.student.backbone, self.teacher.backbone]

    @property
    def first_projection(self) -> nn.Module:
        return self.teacher.head.layers[: 3 if self.settings.head_norm else 2]

    @property
    def export_backbone(self) -> nn.Module:
        return self.teacher.backbone
