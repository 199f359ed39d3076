"""Monitors: figures that tell, while a network trains and without its loss, whether it learns or collapses."""

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

COLLAPSED_STD = 0.1  # of a healthy 1: all projections nearly equal
COLLAPSED_RANK = 1.5  # effective dimensions


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


def collapse(std: float, rank: float) -> str | None:
    """Name a collapse and its likely cure, or None when there is none. Rank counts dimensions of centred projections."""
    if std < COLLAPSED_STD:
        return (
            f"collapse: all vectors are nearly equal (std {std:.3f} of a healthy 1); "
            "likely cures: a lower learning rate, a warm-up, a slower teacher (momentum nearer 1)"
        )
    if rank < COLLAPSED_RANK:
        return (
            f"collapse: the vectors lie on a line (RankMe {rank:.2f}); "
            "likely cures: a larger batch, a lower temperature, a lower learning rate"
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
