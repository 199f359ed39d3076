"""What of a network becomes the vector: its own output, and beside it where in the image things are.

A network's output is a mean over positions, which forgets the layout. Means over the cells of a grid, laid over an earlier map, keep some of
it. Features of several layers transfer better to images unlike those of the training (Evci et al. 2022, "Head2Toe").
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from featurestore.estimators.whitening import MOST_DIM
from trainers.models.backbones import CONV4_SMALLEST, Conv4, try_size

# Cells along a side of the last map and of a larger one before it; 0: none. The first is taken that the maps have room for, and whose vectors
# are not too long for a whitening.
GRIDS = ((2, 3), (2, 2), (0, 2))
CONV4_FROM = 2 * CONV4_SMALLEST  # pixels, from which its last map has four positions


class WithLayout(nn.Module):
    """A network whose vectors have the layout of the image beside its own output: (B, 3, S, S) to (B, D), with `num_features` D.

    All parts are at unit length, so that none hides the others.
    """

    num_features: int

    def __init__(self, network: Any, stages: list[int] | None, grid: tuple[int, int]) -> None:
        super().__init__()
        self.network = network
        self.stages = stages  # whose maps are taken, of a network of timm; None of conv4
        self.grid = grid

    def forward(self, x: Tensor) -> Tensor:
        output, *maps = self._output_and_maps(x)
        layout = [cells(each, count) for each, count in zip(maps, self.grid, strict=True) if count]
        return torch.cat([F.normalize(part, dim=1) for part in (output, *layout)], dim=1)

    def _output_and_maps(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        if self.stages is None:
            earlier, last = self.network.maps(x)
            return last.mean(dim=(2, 3)), last, earlier
        final, (earlier, last) = self.network.forward_intermediates(x, indices=self.stages)
        return self.network.forward_head(final), last, earlier


def cells(layout: Tensor, count: int) -> Tensor:
    """Compute the means over count x count cells of a map, (B, C, H, H) to (B, C * count ** 2); where H is no multiple of it, cells overlap."""
    side = layout.shape[-1]
    stride = side // count
    return F.avg_pool2d(layout, side - (count - 1) * stride, stride).flatten(1)


def with_layout(network: Any, size: int) -> WithLayout | None:
    """Give a network of conv4, or a convolutional one of timm, the layout of its images of `size` px.

    None for a network without maps of several sizes, such as a ViT, for images too small for any grid, and where the vectors would be too
    long for a whitening.
    """
    stages = None if isinstance(network, Conv4) else _last_two_sizes(network)
    if stages is None and not (isinstance(network, Conv4) and size >= CONV4_FROM):
        return None
    for grid in GRIDS:
        found = WithLayout(network, stages, grid)
        try:
            found.num_features = try_size(found, size)
        except Exception:  # a map smaller than its grid, or a network of timm that gives its maps in another way
            continue
        if found.num_features <= MOST_DIM:
            return found
    return None


def _last_two_sizes(network: Any) -> list[int] | None:
    """Find the last map of a network of timm, and the last that is larger; None where all have one size, or are not told."""
    if not hasattr(network, "forward_intermediates"):
        return None
    reductions = [stage["reduction"] for stage in getattr(network, "feature_info", [])]
    larger = [i for i, reduction in enumerate(reductions) if reduction < max(reductions)]
    return [larger[-1], len(reductions) - 1] if larger else None
