"""What of a network becomes the vector: its own output, and beside it where in the image things are.

A network's output is a mean over positions, which forgets the layout. The map of the last stage but one, or of conv4 the last, reduced to
2 x 2 means, keeps some of it. Features of
several layers transfer better to images unlike those of the training (Evci et al. 2022, "Head2Toe").
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from featurestore.estimators.whitening import MOST_DIM
from trainers.models.backbones import CONV4_SMALLEST, Conv4, try_size

CELLS = 2  # along a side of the map


class WithLayout(nn.Module):
    """A network whose vectors have the layout of the image beside its own output: (B, 3, S, S) to (B, D), with `num_features` D.

    Both parts are at unit length, so that neither hides the other.
    """

    num_features: int

    def __init__(self, network: Any, stage: int | None) -> None:
        super().__init__()
        self.network = network
        self.stage = stage  # whose map is taken, of a network of timm; None of conv4, which has the last

    def forward(self, x: Tensor) -> Tensor:
        output, cells = (F.normalize(part, dim=1) for part in self._parts(x))
        return torch.cat([output, cells], dim=1)

    def _parts(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if self.stage is None:
            layout = self.network.layers(x)
            return layout.mean(dim=(2, 3)), F.adaptive_avg_pool2d(layout, CELLS).flatten(1)
        last, (layout,) = self.network.forward_intermediates(x, indices=[self.stage])
        return self.network.forward_head(last), F.adaptive_avg_pool2d(layout, CELLS).flatten(1)


def with_layout(network: Any, size: int) -> WithLayout | None:
    """Give a network of conv4, or a convolutional one of timm, the layout of its images of `size` px.

    None for a network without maps of several sizes, such as a ViT, and where the vectors would have nothing more, or be too long for a whitening.
    """
    stage = None if isinstance(network, Conv4) else _last_stage_but_one(network)
    if stage is None and not (isinstance(network, Conv4) and size >= CELLS * CONV4_SMALLEST):
        return None
    found = WithLayout(network, stage)
    try:
        found.num_features = try_size(found, size)
    except Exception:  # a network of timm that gives its maps in another way
        return None
    return found if found.num_features <= MOST_DIM else None


def _last_stage_but_one(network: Any) -> int | None:
    """Find the last map of a network of timm that is larger than its smallest; None where all have one size, or are not told."""
    if not hasattr(network, "forward_intermediates"):
        return None
    reductions = [stage["reduction"] for stage in getattr(network, "feature_info", [])]
    return max((i for i, reduction in enumerate(reductions) if reduction < max(reductions)), default=None)
