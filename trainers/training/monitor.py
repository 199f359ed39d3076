"""Monitors: figures that tell, while a network trains and without its loss, whether it learns or collapses."""

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from featurestore.estimators.knn import rank_classes
from featurestore.metrics import label_free as labelfree
from featurestore.metrics.checks import check_finite
from featurestore.sources import ImageFile
from trainers.augmentations.pipeline import normalise
from trainers.data.images import Images

ROWS = 4096  # projections at the end of an epoch that the collapse figures look at
KNN_IMAGES = 2000  # most images the k-NN figure looks at, on each side
KNN_K, KNN_TEMPERATURE = 20, 0.07
COLLAPSED_STD = 0.1  # of a healthy 1: all projections nearly equal
COLLAPSED_PERPLEXITY = 1.5  # prototypes that a batch falls on
COLLAPSED_RANK = 1.5  # effective dimensions
UNIFORM_WITHIN = 0.002  # share of ln(P)
PATIENCE = 3  # epochs: a training may begin on one prototype, and stay for so long at ln(P)


def feature_std(z: Tensor) -> float:
    """Per-dimension standard deviation of the unit-length rows times sqrt(D): about 1 when spread out, 0 when all are equal.

    z: (N, D). Chen & He 2021 (SimSiam), section 4.1.
    """
    unit = F.normalize(z.float(), dim=1)
    return float(unit.std(dim=0, correction=0).mean() * unit.shape[1] ** 0.5)


def rankme(z: Tensor) -> float:
    """Effective rank of the rows of z, (N, D); see `featurestore.metrics.label_free`."""
    return labelfree.rankme(z.detach().float().cpu().numpy())


@dataclass(frozen=True, slots=True)
class Collapse:
    """A collapse by name, and in words with its likely cure."""

    name: str
    text: str


def is_uniform(loss: float, uniform_loss: float | None) -> bool:
    """Whether a loss lies at ln(P), where the output is uniform over P answers; every training starts near it."""
    return uniform_loss is not None and abs(loss - uniform_loss) < UNIFORM_WITHIN * uniform_loss


def collapse(figures: Mapping[str, float], uniform_loss: float | None, plateau: int = 0) -> Collapse | None:
    """Tell a collapse from the figures of an epoch, or None when there is none.

    `uniform_loss` is the loss of a method whose output is uniform over its prototypes or orders, ln(P), where it has some; `plateau` for
    how many epochs in a row, this one included, the loss `is_uniform`.
    """
    std, rank, loss = figures["feature_std"], figures["rankme"], figures["loss"]
    if std < COLLAPSED_STD:
        return Collapse(
            "point",
            f"all vectors are nearly equal (std {std:.3f} of a healthy 1); "
            "likely cures: a lower learning rate, a longer warm-up, a slower teacher (momentum nearer 1)",
        )
    if figures.get("width", 1.0) < COLLAPSED_STD:
        return Collapse(
            "point",
            f"all vectors shrink to nothing (width {figures['width']:.3f} of a healthy 1); "
            "likely cures: a larger weight of the spread (lejepa.weight), a lower learning rate",
        )
    if figures["epoch"] > PATIENCE and figures.get("prototypes_used", math.inf) < COLLAPSED_PERPLEXITY:
        return Collapse(
            "one prototype",
            f"all images fall on one prototype ({figures['prototypes_used']:.2f} in use, which makes the loss {loss:.3f} small and worthless); "
            "likely cures: a centre that moves (dino.centre_momentum 0.9), a higher teacher temperature, a lower learning rate",
        )
    if rank < COLLAPSED_RANK:
        return Collapse(
            "line",
            f"the vectors lie on a line (RankMe {rank:.2f}); likely cures: a larger batch, a lower temperature, a lower learning rate",
        )
    if plateau > PATIENCE:
        return Collapse(
            "uniform",
            f"the output is uniform and nothing is learned (loss {loss:.3f} at ln(P) = {uniform_loss:.3f} for {plateau} epochs); likely cures: for dino "
            "a lower teacher temperature, fewer prototypes, a teacher that moves faster (momentum 0.99); for jigsaw fewer orders, another learning rate",
        )
    return None


@dataclass
class Sparing:
    """Gives the figures of `evaluate` only so often that it takes no more than a `share` of the time; nothing in between."""

    evaluate: Callable[[nn.Module], dict[str, float]]
    share: float
    _ended: float = -math.inf
    _took: float = 0.0  # seconds

    def __call__(self, backbone: nn.Module, must: bool) -> dict[str, float]:
        """Evaluate a backbone where it is time for it, or where it `must` be."""
        began = time.monotonic()
        if not must and began - self._ended < self._took * (1 / self.share - 1):
            return {}
        figures = self.evaluate(backbone)
        self._ended = time.monotonic()
        self._took = self._ended - began
        return figures


@torch.no_grad()
def features(backbone: nn.Module, pixels: Tensor, batch_size: int = 512) -> np.ndarray:
    """Encode uint8 (N, 3, H, W) in evaluation mode to unit-length float32 (N, D); the module's mode is put back."""
    was_training = backbone.training
    backbone.eval()
    device = next(backbone.parameters()).device
    # A compiled backbone would be compiled anew for evaluation mode and for each batch size.
    with torch.compiler.set_stance("force_eager"):
        chunks = [
            F.normalize(backbone(normalise(chunk.to(device).float() / 255)).float(), dim=1).cpu()
            for chunk in torch.split(pixels, batch_size)
        ]
    backbone.train(was_training)
    return torch.cat(chunks).numpy()


def thin(files: list[ImageFile]) -> list[ImageFile]:
    """Take an even sample of at most KNN_IMAGES files."""
    step = max(1, -(-len(files) // KNN_IMAGES))
    return files[::step]


def knn_monitor(
    images: Images, held_back: Images | None, most: int = KNN_IMAGES
) -> Callable[[nn.Module], dict[str, float]]:
    """Make the k-NN figure of the monitor: held-back images against `most` training images, or these leave-one-out."""
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

    def evaluate(backbone: nn.Module) -> dict[str, float]:
        x = torch.from_numpy(features(backbone, bank[torch.from_numpy(known_bank)]))
        if held_back is None:
            similarity = (x @ x.T).fill_diagonal_(-2)
        else:
            similarity = torch.from_numpy(features(backbone, held_back.pixels[torch.from_numpy(known)])) @ x.T
        scores, rows = (t.numpy() for t in torch.topk(similarity, k))
        check_finite(scores)
        predicted = rank_classes(scores, codes[known_bank][rows], len(names), KNN_TEMPERATURE, top=1)[:, 0]
        return {"knn_top1": float((predicted == truth[known]).mean())}

    return evaluate if k >= 1 and known.any() else lambda backbone: {}
