"""A known network and a small one that was trained beside it, as one encoder.

The known network stays as it is, so that nothing of what it knows is lost, and the small one learns what it does not know of these images
(side-tuning, Zhang et al. 2020, "Side-Tuning: A Baseline for Network Adaptation via Additive Side Networks"). Their vectors stand side by side.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from trainers.models.backbones import feature_dim

# Lengths of the trained part where that of the known one is 1, of which labels choose: docs/decisions.md, 2026-11-30.
LENGTHS = (0.35, 0.6, 1.0)
# Without labels: with more, the trained part costs up to 3 points where the known network knows best.
SAFE_LENGTH = 0.35


class SideBySide(nn.Module):
    """A known network and a trained one that sees the same images at `size` px: (B, 3, S, S) to (B, D), with `num_features` D.

    The first part of a vector is that of the known network, at unit length; the second is that of the trained one, at `length`.
    """

    def __init__(self, known: Any, trained: Any, size: int, length: float = SAFE_LENGTH) -> None:
        super().__init__()
        self.known, self.trained, self.size, self.length = known, trained, size, length
        self.num_features = feature_dim(known) + feature_dim(trained)

    def forward(self, x: Tensor) -> Tensor:
        small = F.interpolate(x, (self.size, self.size), mode="bicubic", antialias=True)
        return torch.cat(
            [F.normalize(self.known(x), dim=1), self.length * F.normalize(self.trained(small), dim=1)], dim=1
        )

    def with_length(self, length: float) -> "SideBySide":
        """Give the same networks with another length of the trained part."""
        return SideBySide(self.known, self.trained, self.size, length)
