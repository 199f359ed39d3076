"""SimCLR v1 and v2 (Chen et al. 2020a, b): find the other view of the same image among all views of the batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainers.augmentations import ViewSpec
from trainers.losses import info_nce_queue, nt_xent
from trainers.methods.base import Bank, Method, Progress, Step, Variant
from trainers.methods.situation import Situation
from trainers.models.backbones import feature_dim
from trainers.models.heads import simclr_projection
from trainers.runtime.seeds import seeded
from trainers.settings import setting
from trainers.training.distributed import gather

SHORT = 16_000  # steps; in trainings of up to so many the lower temperature was better


@dataclass(frozen=True, slots=True)
class SimCLRSettings:
    """Settings of SimCLR (section 4.2 and appendix B; temperature 0.5 is its value for small images)."""

    temperature: float = setting(0.5, above=0, most=10, usual=(0.01, 2))
    hidden: int = setting(512, least=1)
    dim: int = setting(128, least=1)
    layers: int = setting(2, least=1)  # v2: 3


class SimCLR(Method):
    variants: ClassVar = {
        "simclr": Variant("the default; for short trainings and small batches"),
        "simclr-v2": Variant(
            "the same with a deeper head, for fine-tuning from the head's first layer", own={"layers": 3}
        ),
    }
    Settings = SimCLRSettings
    cures: ClassVar = {"line": "a lower temperature"}
    has_negatives = True
    export_branch = "online"

    @classmethod
    def recipe(cls, situation: Situation) -> dict[str, Any]:
        return {"temperature": 0.2} if situation.steps is None or situation.steps < SHORT else {}

    def __init__(self, backbone: nn.Module, settings: SimCLRSettings, views: tuple[ViewSpec, ...]) -> None:
        super().__init__(backbone, settings, views)
        self.temperature = settings.temperature
        self.backbone = backbone
        self.projection = simclr_projection(feature_dim(backbone), settings.hidden, settings.dim, settings.layers)

    def loss(self, views: Sequence[Tensor], at: Progress) -> Step:
        with seeded(at.seed, views[0].device):  # drop-path
            z1, z2 = self._project(views)
        return Step(nt_xent(gather(z1), gather(z2), self.temperature), z1.detach(), {})

    def image_losses(self, views: Sequence[Tensor], at: Progress, bank: Bank | None) -> Tensor:
        assert bank is not None
        z1, z2 = self._project(views)
        others, same = bank.vectors.flatten(0, 1), bank.same.repeat(1, 2)  # both views of an image are negatives
        first, second = (info_nce_queue(a, b, others, self.temperature, same, "none") for a, b in ((z1, z2), (z2, z1)))
        return (first + second) / 2

    def bank_vectors(self, views: Sequence[Tensor]) -> Tensor:
        return F.normalize(torch.stack(self._project(views)).float(), dim=2)

    def _project(self, views: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        """Compute the projections of both views, (B, D) each; their norms see both as one batch."""
        z1, z2 = self.projection(self.backbone(torch.cat(list(views)))).chunk(2)
        return z1, z2

    @property
    def export_backbone(self) -> nn.Module:
        return self.backbone

    @property
    def first_projection(self) -> nn.Module:
        return self.projection[:3]
