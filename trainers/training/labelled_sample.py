"""Images with labels, to measure encoders by while they are trained and afterwards. No training sees the labels."""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from featurestore.estimators import nearest_mean
from featurestore.estimators.knn import TEMPERATURE, K, rank_classes
from featurestore.metrics.checks import check_finite
from featurestore.metrics.splits import shot_draws
from featurestore.sources import ImageFile
from trainers.augmentations import Channels
from trainers.data.even import even_sample
from trainers.data.images import Images
from trainers.training.features import Vectors, features

MOST = 2000  # images on each side, at most
MOST_LARGE = 500  # of more than SMALL_SIZE px, which take long
WATCHED_LARGE = 200  # of these, while a network trains
SMALL_SIZE = 64  # pixels
SHOTS, DRAWS = 5, 20


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

    @property
    def training(self) -> "LabelledSample":
        """The training images alone."""
        return LabelledSample(self.bank, self.labels, self.classes, None, self.labels)


def thin(files: list[ImageFile]) -> list[ImageFile]:
    """Take an even sample of at most MOST files."""
    return even_sample(files, MOST)


def samples(images: Images, size: int) -> tuple[LabelledSample | None, LabelledSample | None]:
    """Take a sample to measure encoders by when a training on images of `size` px has ended, and one to watch it by."""
    if size <= SMALL_SIZE:
        sample = take_sample(images, images.held_back)
        return sample, sample
    most, watched = (take_sample(images, images.held_back, count) for count in (MOST_LARGE, WATCHED_LARGE))
    return most, watched


def take_sample(images: Images, held_back: Images | None, most: int = MOST) -> LabelledSample | None:
    """Take the labelled ones of an even sample of at most `most` training images, and of as many held back those that have one of their labels.

    None where that leaves nothing to predict: fewer than two classes, or no class with two images.
    """
    given = np.array([file.label or "" for file in even_sample(images.files, most)])
    names, labels = np.unique(given[given != ""], return_inverse=True)
    bank = even_sample(images.pixels, most)[torch.from_numpy(given != "")]
    if len(names) < 2:
        return None
    if held_back is None:
        has_partners = np.bincount(labels).max() > 1
        return LabelledSample(bank, labels, len(names), None, labels) if has_partners else None
    number = {name: code for code, name in enumerate(names.tolist())}
    truth = np.array([number.get(file.label or "", -1) for file in even_sample(held_back.files, most)])
    queries = even_sample(held_back.pixels, most)[torch.from_numpy(truth >= 0)]
    return LabelledSample(bank, labels, len(names), queries, truth[truth >= 0]) if (truth >= 0).any() else None


def encode(sample: LabelledSample, network: nn.Module, mean: Channels, std: Channels) -> tuple[Vectors, Vectors | None]:
    """Encode the bank, (N, D), and the queries, (M, D), if there are any, to unit length. Raises EvaluationError for NaN or infinity."""
    bank = features(network, sample.bank, mean=mean, std=std)
    queries = None if sample.queries is None else features(network, sample.queries, mean=mean, std=std)
    check_finite(bank, *(() if queries is None else (queries,)))
    return bank, queries


def knn_right(sample: LabelledSample, bank: Vectors, queries: Vectors | None) -> NDArray[np.bool_]:
    """Tell for each image to predict whether its K nearest name it rightly, (M,); vectors as `encode` gives them."""
    similarity = torch.from_numpy((bank if queries is None else queries) @ bank.T)
    if queries is None:
        similarity.fill_diagonal_(-2)
    scores, rows = (t.numpy() for t in torch.topk(similarity, min(K, len(bank) - (queries is None))))
    predicted = rank_classes(scores, sample.labels[rows], sample.classes, TEMPERATURE, top=1)[:, 0]
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
