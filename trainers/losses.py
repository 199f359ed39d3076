"""Losses: functions of tensors, without state."""

import torch
import torch.nn.functional as F
from torch import Tensor


def nt_xent(z1: Tensor, z2: Tensor, temperature: float) -> Tensor:
    """NT-Xent: the mean over all 2N views of the cross-entropy of finding the other view among 2N - 1 candidates.

    z1, z2: projections of the two views, (N, D), of any length. Chen et al. 2020 (SimCLR), section 2.1, equation 1.
    """
    z = F.normalize(torch.cat([z1, z2]).float(), dim=1)  # (2N, D)
    n = len(z1)
    logits = z @ z.T / temperature  # (2N, 2N)
    logits = logits.masked_fill(torch.eye(2 * n, dtype=torch.bool, device=z.device), float("-inf"))
    positive = torch.arange(2 * n, device=z.device).roll(n)
    return F.cross_entropy(logits, positive)


def negative_cosine(prediction: Tensor, target: Tensor) -> Tensor:
    """BYOL's regression: the squared distance of the unit vectors, 2 - 2 cos, mean over the batch; none of it flows into `target`.

    prediction, target: (N, D). Grill et al. 2020 (BYOL), section 3.1, equation 2.
    """
    p = F.normalize(prediction.float(), dim=1)
    t = F.normalize(target.detach().float(), dim=1)
    return (2 - 2 * (p * t).sum(dim=1)).mean()
