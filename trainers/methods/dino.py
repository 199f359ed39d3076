"""DINO (Caron et al. 2021): every crop of the student says what a slow teacher says of the whole picture."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import torch
from torch import Tensor, nn

from trainers.augmentations.pipeline import AugmentConfig, ViewSpec, two_views
from trainers.losses import perplexity, self_distillation
from trainers.methods.base import Method, Progress, Step
from trainers.models.backbones import feature_dim
from trainers.models.heads import DINOHead
from trainers.models.teacher import make_teacher, update_teacher
from trainers.optimization.schedules import cosine
from trainers.runtime.seeds import seeded
from trainers.training.distributed import gather_keys


@dataclass(frozen=True, slots=True)
class DINOSettings:
    """Settings of DINO (section 3 and appendix; prototypes and widths for small collections)."""

    prototypes: int = 1024
    hidden: int = 1024
    bottleneck: int = 128
    momentum: float = 0.99  # of the teacher at the start; rises to 1 along half a cosine
    student_temperature: float = 0.1
    teacher_temperature_start: float = 0.04
    teacher_temperature: float = 0.04  # reached after `teacher_warmup`; above 0.07 training is unstable
    teacher_warmup: float = 0.3  # share of the training
    centre_momentum: float = 0.9
    frozen_epochs: int = 1  # epochs in which the last layer stays as it is, but no more than a tenth of the training
    local_crops: int = 4
    local_size: float = 0.5  # side of a local crop as a share of the view's
    local_max: float = 0.4  # largest share of the area in a local crop; augment.crop_min is the least in a global one
    local_min: float = 0.1


class Network(nn.Module):
    """Backbone and head, which run at different times: the backbone once a crop size, the head once on all of it."""

    def __init__(self, backbone: nn.Module, head: DINOHead) -> None:
        super().__init__()
        self.backbone, self.head = backbone, head


class DINO(Method):
    Settings = DINOSettings
    export_branch = "teacher"
    centre: Tensor

    def __init__(self, backbone: nn.Module, settings: DINOSettings, views: tuple[ViewSpec, ...]) -> None:
        super().__init__(backbone, settings, views)
        self.settings = settings
        head = DINOHead(feature_dim(backbone), settings.hidden, settings.bottleneck, settings.prototypes)
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
        temperature = self._teacher_temperature(at)
        with torch.no_grad():
            features = self.teacher.backbone(torch.cat(list(views[:2])))
            teacher = self.teacher.head(features)  # (2B, P)
        with seeded(at.seed, views[0].device):  # drop-path
            student_features = torch.cat(
                [self.student.backbone(torch.cat(list(same))) for _, same in groupby(views, key=lambda v: v.shape[-1])]
            )
        frozen = at.epoch < self.settings.frozen_epochs and at.fraction < 0.1
        student = self.student.head(student_features, frozen)  # (V B, P)
        loss = self_distillation(
            student.view(len(views), -1, student.shape[1]),
            teacher.view(2, -1, teacher.shape[1]),
            self.centre,
            self.settings.student_temperature,
            temperature,
        )
        logs = {"prototypes_used": perplexity((teacher - self.centre) / temperature)}
        return Step(loss, student_features[: len(views[0])].detach(), logs, teacher)

    def _teacher_temperature(self, at: Progress) -> float:
        s = self.settings
        share = min(1.0, at.fraction / s.teacher_warmup) if s.teacher_warmup else 1.0
        return s.teacher_temperature_start + share * (s.teacher_temperature - s.teacher_temperature_start)

    def after_step(self, carry: Tensor | None, at: Progress) -> dict[str, float]:
        assert carry is not None
        momentum = cosine(at.fraction, self.settings.momentum, 1.0)
        update_teacher(self.teacher, self.student, momentum)
        self.centre.lerp_(
            gather_keys(carry.float().mean(dim=0, keepdim=True)).mean(dim=0), 1 - self.settings.centre_momentum
        )
        return {"teacher_momentum": momentum, "teacher_temperature": self._teacher_temperature(at)}

    @property
    def uniform_loss(self) -> float:
        return math.log(self.settings.prototypes)

    @property
    def backbones(self) -> list[nn.Module]:
        return [self.student.backbone, self.teacher.backbone]

    @property
    def first_projection(self) -> nn.Module:
        return self.teacher.head.layers[:2]

    @property
    def export_backbone(self) -> nn.Module:
        return self.teacher.backbone
