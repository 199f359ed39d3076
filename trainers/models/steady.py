"""A known network whose output counts less what views of one image differ in.

Of the differences between vectors, those between views of one image are of no use: they come from the crop, the light, the colours. Whitened by
their covariance, vectors differ as little in the directions of these as in others. Known for classes as within-class covariance normalization
(Hatch, Kajarekar and Stolcke 2006); here each image is a class of its own, so that no labels are needed.
"""

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

LEAST_VARIANCE = 1e-12
SHRINKAGE = 1.0  # of the mean variance, added to each: docs/decisions.md, "What two views of an image differ in"


def fit_views(both: NDArray[np.floating]) -> dict[str, Tensor]:
    """Fit the whitening to the vectors of two views of N images, (2 N, D) at unit length, the second after the first.

    Gives their mean (D,) and a symmetric matrix (D, D).
    """
    first, second = np.split(np.asarray(both, np.float64), 2)
    differences = first - second
    variances, directions = np.linalg.eigh(differences.T @ differences / len(differences))
    variances = variances.clip(LEAST_VARIANCE)  # of views that are all equal
    gains = (variances + SHRINKAGE * variances.mean()) ** -0.5
    found = {"mean": both.mean(axis=0), "matrix": (directions * gains) @ directions.T}
    return {name: torch.from_numpy(np.asarray(value, np.float32)) for name, value in found.items()}


class Steady(nn.Module):
    """A network with this whitening behind its output, (B, 3, S, S) to (B, D) at unit length; its maps are those of the network."""

    mean: Tensor
    matrix: Tensor

    def __init__(self, network: Any, mean: Tensor, matrix: Tensor) -> None:
        super().__init__()
        self.network = network
        self.num_features = network.num_features
        self.feature_info = getattr(network, "feature_info", [])
        self.register_buffer("mean", mean)
        self.register_buffer("matrix", matrix)

    def forward(self, x: Tensor) -> Tensor:
        return self.whiten(self.network(x))

    def whiten(self, output: Tensor) -> Tensor:
        return F.normalize((F.normalize(output, dim=1) - self.mean) @ self.matrix, dim=1)

    def forward_intermediates(self, x: Tensor, indices: list[int]) -> tuple[Tensor, list[Tensor]]:
        """Give the last map and those of the stages `indices`, as networks of timm do."""
        final, maps = self.network.forward_intermediates(x, indices=indices)
        return final, maps

    def forward_head(self, final: Tensor) -> Tensor:
        return self.whiten(self.network.forward_head(final))
