"""Monitors: figures that show, while a network trains, whether it learns or collapses."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import torch.nn.functional as F
from torch import Tensor, nn

from featurestore.metrics import label_free as labelfree
from trainers.augmentations import Channels
from trainers.training.features import finished
from trainers.training.labelled_sample import LabelledSample, encode, knn_right

ROWS = 4096  # projections at the end of an epoch that the collapse figures are computed from


def feature_std(z: Tensor) -> float:
    """Per-dimension standard deviation of the unit-length rows times sqrt(D): about 1 when spread out, 0 when all are equal.

    z: (N, D). Chen & He 2021 (SimSiam), section 4.1.
    """
    unit = F.normalize(z.float(), dim=1)
    return float(unit.std(dim=0, correction=0).mean() * unit.shape[1] ** 0.5)


def rankme(z: Tensor) -> float:
    """Effective rank of the rows of z, (N, D); see `featurestore.metrics.label_free`."""
    return labelfree.rankme(z.detach().float().cpu().numpy())


@dataclass
class TimeBounded:
    """Calls `evaluate` only so often that it takes no more than a `share` of the time; gives no figures in between."""

    evaluate: Callable[[nn.Module], dict[str, float]]
    share: float
    _ended: float = -math.inf
    _took: float = 0.0  # seconds

    def __call__(self, backbone: nn.Module, must: bool) -> dict[str, float]:
        """Evaluate a backbone when the time allows it, and always when it `must` be."""
        began = time.monotonic()
        if not must and began - self._ended < self._took * (1 / self.share - 1):
            return {}
        figures = self.evaluate(backbone)
        self._ended = time.monotonic()
        self._took = self._ended - began
        return figures


def knn_monitor(
    sample: LabelledSample | None, mean: Channels, std: Channels, whiten: bool
) -> Callable[[nn.Module], dict[str, float]]:
    """Make the k-NN figure of the monitor; whiten: of whitened vectors, as those of the exported encoder are. No figure without a sample."""
    if sample is None:
        return lambda backbone: {}

    def evaluate(backbone: nn.Module) -> dict[str, float]:
        right = knn_right(sample, *finished(*encode(sample, backbone, mean, std), whiten=whiten))
        return {"knn_top1": float(right.mean()), "knn_images": len(right)}

    return evaluate
