"""Monitors: figures that show, while a network trains, whether it learns or collapses."""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from featurestore.ann.normalize import unit_rows
from featurestore.errors import FeatureStoreError
from featurestore.estimators.knn import rank_classes
from featurestore.estimators.whitening import fit
from featurestore.imaging.preprocess import IMAGENET_MEAN, IMAGENET_STD
from featurestore.metrics import label_free as labelfree
from featurestore.metrics.checks import check_finite
from featurestore.sources import ImageFile
from trainers.augmentations import Channels, normalise
from trainers.data.images import Images

ROWS = 4096  # projections at the end of an epoch that the collapse figures are computed from
KNN_IMAGES = 2000  # images of the k-NN figure at most, on each side
KNN_K, KNN_TEMPERATURE = 20, 0.07
PIXELS = 16  # side of raw pixels as a baseline


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


class RawPixels(nn.Module):
    """No network: the pixels of an image at PIXELS a side, as the vector that every network must beat."""

    def forward(self, x: Tensor) -> Tensor:
        return F.adaptive_avg_pool2d(x, min(PIXELS, x.shape[-1])).flatten(1)


@torch.no_grad()
def features(
    backbone: nn.Module,
    pixels: Tensor,
    batch_size: int = 512,
    mean: Channels = IMAGENET_MEAN,
    std: Channels = IMAGENET_STD,
) -> np.ndarray:
    """Encode uint8 (N, 3, H, W) in evaluation mode to unit-length float32 (N, D); the module's mode is restored."""
    was_training = backbone.training
    backbone.eval()
    device = next(backbone.parameters(), pixels).device  # raw pixels have no parameters
    # A compiled backbone would be compiled again for evaluation mode and for each batch size.
    with torch.compiler.set_stance("force_eager"):
        chunks = [
            F.normalize(backbone(normalise(chunk.to(device).float() / 255, mean, std)).float(), dim=1).cpu()
            for chunk in torch.split(pixels, batch_size)
        ]
    backbone.train(was_training)
    return torch.cat(chunks).numpy()


def thin(files: list[ImageFile]) -> list[ImageFile]:
    """Take an even sample of at most KNN_IMAGES files."""
    step = max(1, -(-len(files) // KNN_IMAGES))
    return files[::step]


def knn_monitor(
    images: Images,
    held_back: Images | None,
    most: int = KNN_IMAGES,
    mean: Channels = IMAGENET_MEAN,
    std: Channels = IMAGENET_STD,
    whiten: bool = True,
) -> Callable[[nn.Module], dict[str, float]]:
    """Make the k-NN figure of the monitor: held-back images against `most` training images, or these leave-one-out.

    whiten: of whitened vectors, as those of the exported encoder are.
    """
    step = max(1, -(-len(images.files) // most))
    bank_labels = [file.label for file in images.files][::step]
    if not any(bank_labels):
        return lambda backbone: {}
    bank = images.pixels[::step]
    names = sorted({label for label in bank_labels if label})
    number = {name: i for i, name in enumerate(names)}
    queries = [f.label for f in held_back.files] if held_back else bank_labels
    truth = np.array([number.get(label or "", -1) for label in queries])
    codes = np.array([number.get(label or "", -1) for label in bank_labels])
    known_bank, known = codes >= 0, truth >= 0
    k = min(KNN_K, int(known_bank.sum()) - (held_back is None))

    def encode(backbone: nn.Module, pixels: Tensor) -> np.ndarray:
        return features(backbone, pixels, mean=mean, std=std)

    def evaluate(backbone: nn.Module) -> dict[str, float]:
        x = encode(backbone, bank[torch.from_numpy(known_bank)])
        queried = x if held_back is None else encode(backbone, held_back.pixels[torch.from_numpy(known)])
        if whiten:
            x, queried = _whitened(x, queried)
        similarity = torch.from_numpy(queried @ x.T)
        if held_back is None:
            similarity.fill_diagonal_(-2)
        scores, rows = (t.numpy() for t in torch.topk(similarity, k))
        check_finite(scores)
        predicted = rank_classes(scores, codes[known_bank][rows], len(names), KNN_TEMPERATURE, top=1)[:, 0]
        return {"knn_top1": float((predicted == truth[known]).mean()), "knn_images": int(known.sum())}

    return evaluate if k >= 1 and known.any() else lambda backbone: {}


def _whitened(bank: np.ndarray, queries: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Whiten both by the vectors of the bank, (N, D); as they are where these are too few, collapsed or not finite."""
    try:
        check_finite(bank)
        whitening = fit(bank)
    except FeatureStoreError:
        return bank, queries
    return unit_rows(whitening(bank)), unit_rows(whitening(queries))
