"""Monitors: figures that tell, while a network trains and without its loss, whether it learns or collapses."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

COLLAPSED_STD = 0.1  # of a healthy 1: all projections nearly equal
COLLAPSED_RANK = 1.5  # effective dimensions
UNIFORM_WITHIN, UNIFORM_PATIENCE = 0.002, 3  # share of ln(P), and epochs in which a loss may stay there


def feature_std(z: Tensor) -> float:
    """Per-dimension standard deviation of the unit-length rows times sqrt(D): about 1 when spread out, 0 when all are equal.

    z: (N, D). Chen & He 2021 (SimSiam), section 4.1.
    """
    unit = F.normalize(z.float(), dim=1)
    return float(unit.std(dim=0, correction=0).mean() * unit.shape[1] ** 0.5)


def rankme(z: Tensor) -> float:
    """Effective rank: exp of the entropy of the normalised singular values, between 1 and min(N, D).

    z: (N, D). Garrido et al. 2023 (RankMe), equation 1.
    """
    singular = torch.linalg.svdvals(z.float())
    share = singular / singular.sum().clamp_min(1e-12) + 1e-7
    return float(torch.exp(-(share * share.log()).sum()))


@dataclass(frozen=True, slots=True)
class Collapse:
    """A collapse by name, and in words with its likely cure."""

    name: str
    text: str


def collapse(figures: Mapping[str, float], uniform_loss: float | None) -> Collapse | None:
    """Tell a collapse from the figures of an epoch, or None when there is none.

    `uniform_loss` is the loss of a method whose output is uniform over its prototypes, ln(P), where it has some.
    """
    std, rank, loss = figures["feature_std"], figures["rankme"], figures["loss"]
    if std < COLLAPSED_STD:
        return Collapse(
            "point",
            f"all vectors are nearly equal (std {std:.3f} of a healthy 1); "
            "likely cures: a lower learning rate, a longer warm-up, a slower teacher (momentum nearer 1)",
        )
    if rank < COLLAPSED_RANK:
        return Collapse(
            "line",
            f"the vectors lie on a line (RankMe {rank:.2f}); likely cures: a larger batch, a lower temperature, a lower learning rate",
        )
    if (
        uniform_loss is not None
        and figures["epoch"] > UNIFORM_PATIENCE
        and abs(loss - uniform_loss) < UNIFORM_WITHIN * uniform_loss
    ):
        return Collapse(
            "uniform",
            f"the output is uniform over the prototypes (loss {loss:.3f} at ln(P) = {uniform_loss:.3f}); "
            "likely cures: a lower teacher temperature, fewer prototypes, a teacher that moves faster (momentum 0.99)",
        )
    return None


@torch.no_grad()
def features(backbone: nn.Module, pixels: Tensor, mean: Tensor, std: Tensor, batch_size: int = 512) -> np.ndarray:
    """Encode uint8 (N, 3, H, W) in evaluation mode to unit-length float32 (N, D); the module's mode is put back."""
    was_training = backbone.training
    backbone.eval()
    device = mean.device
    chunks = [
        F.normalize(backbone((chunk.to(device).float() / 255 - mean) / std).float(), dim=1).cpu()
        for chunk in torch.split(pixels, batch_size)
    ]
    backbone.train(was_training)
    return torch.cat(chunks).numpy()
