"""Images with labels, to measure encoders by while they are trained and afterwards. No training sees the labels."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from featurestore.estimators import nearest_mean
from featurestore.estimators.knn import rank_classes
from featurestore.metrics.checks import check_finite
from featurestore.metrics.splits import shot_draws
from featurestore.sources import ImageFile
from trainers.augmentations import Channels
from trainers.data.images import Images
from trainers.training.features import features

MOST = 2000  # images at most, on each side
KNN_K, KNN_TEMPERATURE = 20, 0.07
SHOTS, DRAWS = 5, 20

Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class LabelledSample:
    """Labelled training images, and the held-back images to predict; without these each image is predicted by all others."""

    bank: Tensor  # uint8 (N, 3, S, S)
    labels: NDArray[np.int64]  # (N,), in [0, classes)
    classes: int
    queries: Tensor | None  # uint8 (M, 3, S, S)
    truth: NDArray[np.int64]  # (M,)

    @property
    def asked(self) -> NDArray[np.int64]:
        """The labels to predict."""
        return self.labels if self.queries is None else self.truth


def thin(files: list[ImageFile]) -> list[ImageFile]:
    """Take an even sample of at most MOST files."""
    return files[:: max(1, -(-len(files) // MOST))]


def take_sample(images: Images, held_back: Images | None, most: int = MOST) -> LabelledSample | None:
    """Take the labelled ones of an even sample of at most `most` training images, and those held back that have one of their labels.

    None where that leaves nothing to predict.
    """
    step = max(1, -(-len(images.files) // most))
    given = np.array([file.label or "" for file in images.files[::step]])
    names, labels = np.unique(given[given != ""], return_inverse=True)
    bank = images.pixels[::step][torch.from_numpy(given != "")]
    if held_back is None:
        return LabelledSample(bank, labels, len(names), None, labels) if len(labels) > 1 else None
    number = {name: code for code, name in enumerate(names.tolist())}
    truth = np.array([number.get(file.label or "", -1) for file in held_back.files])
    queries = held_back.pixels[torch.from_numpy(truth >= 0)]
    return LabelledSample(bank, labels, len(names), queries, truth[truth >= 0]) if (truth >= 0).any() else None


def encode(sample: LabelledSample, network: nn.Module, mean: Channels, std: Channels) -> tuple[Vectors, Vectors | None]:
    """Encode the bank, (N, D), and the queries, (M, D), if there are any, to unit length. Raises EvaluationError for NaN or infinity."""
    bank = features(network, sample.bank, mean=mean, std=std)
    queries = None if sample.queries is None else features(network, sample.queries, mean=mean, std=std)
    check_finite(bank, *(() if queries is None else (queries,)))
    return bank, queries


def knn_right(sample: LabelledSample, bank: Vectors, queries: Vectors | None) -> NDArray[np.bool_]:
    """Tell for each image to predict whether its KNN_K nearest name it rightly, (M,); vectors as `encode` gives them."""
    similarity = torch.from_numpy((bank if queries is None else queries) @ bank.T)
    if queries is None:
        similarity.fill_diagonal_(-2)
    scores, rows = (t.numpy() for t in torch.topk(similarity, min(KNN_K, len(bank) - (queries is None))))
    predicted = rank_classes(scores, sample.labels[rows], sample.classes, KNN_TEMPERATURE, top=1)[:, 0]
    return np.asarray(predicted == sample.asked)


def few_labels_top1(sample: LabelledSample, bank: Vectors, queries: Vectors | None) -> float | None:
    """Compute the mean accuracy of nearest class means from SHOTS labels a class over DRAWS draws; None where a class has too few.

    Without queries, images that are not drawn are predicted.
    """
    if np.bincount(sample.labels, minlength=sample.classes).min() < SHOTS + (queries is None) or sample.classes < 2:
        return None
    right = []
    for rows in shot_draws(sample.labels, SHOTS, DRAWS):
        predicted = nearest_mean.predict(bank[rows], sample.labels[rows], bank if queries is None else queries)
        left = np.ones(len(predicted), bool)
        if queries is None:
            left[rows] = False
        right.append(float((predicted == sample.asked)[left].mean()))
    return float(np.mean(right))
