"""Figures without labels against k-NN, by collection: do they rank encoders in the same order?

    python -m benchmarks.collections COLLECTIONS --cifar10 CIFAR10 --photos PHOTOS
    featurestore train COLLECTIONS/signs/train --out RUNS/signs --minutes 5     # and so on, for each collection
    python -m benchmarks.evaluation.proof COLLECTIONS RUNS

COLLECTIONS holds a folder for each collection, with train/<class>/ and test/<class>/; RUNS a run for each of them, or for some, by the same
name, to which `_` and more may be added, as `benchmarks.evaluation.adaptation` does. Encoders are those of the table at the end of a
training: the trained one, the weights it started from, the untrained network, raw pixels; and beside them EfficientNet-Lite0 at 96 px, which
no run is needed for. All are half-whitened. Prints Markdown: k-NN (k = 20) of each, and for each figure without labels its rank correlation
with k-NN, and what choosing by it loses.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import timm
import torch
from numpy.typing import NDArray
from scipy.stats import spearmanr

from benchmarks.real_weights import weights_file
from benchmarks.tables import table
from featurestore.estimators.knn import neighbours
from featurestore.estimators.whitening import Part
from featurestore.imaging.preprocess import Preprocess
from featurestore.metrics.label_free import neighbour_agreement, rankme, uniformity
from featurestore.progress import Listener
from trainers.augmentations import AugmentConfig, ViewSpec
from trainers.data import images as data
from trainers.data.even import even_sample
from trainers.models.backbones import feature_dim
from trainers.models.known_weights import take_weights
from trainers.models.weights_file import read_weights
from trainers.training.contender import Contender
from trainers.training.contenders import contenders
from trainers.training.features import features, finished
from trainers.training.labelled_sample import encode, knn_right, take_sample
from trainers.training.setup import base_preprocess_of, open_run, preprocess_of
from trainers.training.view_retrieval import encode_two_views, view_top1

IMAGES, K = 1000, 10
KNOWN, KNOWN_SIZE = "tf_efficientnet_lite0", 96
Vectors = NDArray[np.float32]


def slope(x: Vectors) -> float:
    """Fit the power law of the spectrum: the more slowly it falls, the higher (alpha-ReQ, Agrawal et al. 2022, with the sign turned)."""
    variances = np.linalg.eigvalsh(np.cov((x - x.mean(axis=0)).T))[::-1][: min(100, *x.shape)].clip(1e-12)
    return float(np.polyfit(np.log(np.arange(1, len(variances) + 1)), np.log(variances), 1)[0])


def mutual(x: Vectors) -> float:
    """Measure which share of neighbours is mutual."""
    found = _neighbours(x)
    is_near = np.zeros((len(x), len(x)), bool)
    is_near[np.arange(len(x))[:, None], found] = True
    return float((is_near & is_near.T).sum() / is_near.sum())


def even(x: Vectors) -> float:
    """Measure how evenly images are neighbours of others: the skew of the counts, with the sign turned, so that hubs count against it."""
    counts = np.bincount(_neighbours(x).ravel(), minlength=len(x))
    return -float(((counts - counts.mean()) ** 3).mean() / counts.std() ** 3)


def agreement(x: Vectors, views: Vectors) -> float:
    """Measure how many neighbours of an image are neighbours of its view, too."""
    return neighbour_agreement(_neighbours(x), neighbours(x, views, K)[1])


def _neighbours(x: Vectors) -> NDArray[np.intp]:
    return neighbours(x, x, K + 1)[1][:, 1:]


OF_VECTORS: dict[str, Callable[[Vectors], float]] = {
    "RankMe": rankme,
    "slope of the spectrum": slope,
    "uniformity, negative": lambda x: -uniformity(x),
    "mutual neighbours": mutual,
    "evenness of neighbours": even,
}


def measure(contender: Contender, augment: AugmentConfig, folder: Path) -> tuple[float, dict[str, float]]:
    """Measure an encoder by labels, and by every figure without labels, on a collection."""
    record = contender.record
    images = load(folder, record)
    sample = take_sample(images, images.held_back)
    assert sample is not None
    encoded = encode(sample, contender.network, record.mean, record.std)
    right = knn_right(sample, *finished(*encoded, contender.parts))
    pixels = even_sample(images.pixels, IMAGES)
    view = ViewSpec(record.size, 0.0, 0.0, augment, record.mean, record.std)
    plain = features(contender.network, pixels, mean=record.mean, std=record.std)
    x, _ = finished(plain, None, contender.parts)
    both, _ = finished(encode_two_views(contender.network, pixels, view), None, contender.parts)
    _, first = finished(plain, encode_two_views(contender.network, pixels, view)[: len(x)], contender.parts)
    assert first is not None
    figures = {name: figure(x) for name, figure in OF_VECTORS.items()}
    return float(right.mean()), {
        **figures, "agreement of a view's neighbours": agreement(x, first), "views found": view_top1(both),
    }  # fmt: skip


def encoders(run: Path, folder: Path) -> tuple[list[Contender], AugmentConfig]:
    """List the encoders of a run, and the published one; and what views of the run's training differ in."""
    config, method, state = open_run(run)
    records = [preprocess_of(config), *([] if config.base is None else [base_preprocess_of(config)])]
    pixels = {record.size: load(folder, record).pixels for record in records}
    own = [
        plain
        for encoding in contenders(config, method, state, pixels, False, Listener())
        for plain, _ in encoding.pairs
    ]
    network = timm.create_model(KNOWN, num_classes=0)
    take_weights(network, read_weights(weights_file()), KNOWN)
    record = Preprocess(KNOWN_SIZE, KNOWN_SIZE, mean=(0.5,) * 3, std=(0.5,) * 3)
    parts = (Part(feature_dim(network)),)
    published = Contender("published network", network, record, parts, "timm", KNOWN, "published")
    return [*own, published], config.augment


def load(folder: Path, record: Preprocess, most: int = IMAGES) -> data.Images:
    """Decode a collection as an encoder sees it: at most `most` images of each split, evenly."""
    files = data.list_training_files(folder)
    train, test = (even_sample(part, most) for part in (files.training, files.held_back))
    return replace(data.load(train, record), held_back=data.load(test, record))


@click.command(help=__doc__)
@click.argument("collections", type=click.Path(exists=True, path_type=Path))
@click.argument("runs", type=click.Path(exists=True, path_type=Path))
def main(collections: Path, runs: Path) -> None:
    rows: list[list[Any]] = []
    correlations: dict[str, list[float]] = {}
    losses: dict[str, list[float]] = {}
    for run in sorted(path for path in runs.iterdir() if (path / "checkpoint.pt").is_file()):
        with torch.no_grad():
            found, augment = encoders(run, folder := collections / run.name.split("_")[0])
            measured = [(each.name, *measure(each, augment, folder)) for each in found]
        knn = np.array([top1 for _, top1, _ in measured])
        rows.append([run.name, ", ".join(f"{name} {top1:.3f}" for name, top1, _ in measured)])
        for figure in measured[0][2]:
            values = np.array([figures[figure] for _, _, figures in measured])
            correlations.setdefault(figure, []).append(float(spearmanr(values, knn).statistic))
            losses.setdefault(figure, []).append(100 * float(knn.max() - knn[values.argmax()]))
        click.echo(f"{run.name} done", err=True)
    table(["collection", "k-NN"], rows)
    click.echo()
    table(
        ["figure without labels", "rank correlation, mean", "worst", "points lost by choosing, mean", "most"],
        [
            [name, f"{np.mean(c):.2f}", f"{min(c):.2f}", f"{np.mean(losses[name]):.1f}", f"{max(losses[name]):.1f}"]
            for name, c in sorted(correlations.items(), key=lambda item: -np.mean(item[1]))
        ],
    )


if __name__ == "__main__":
    main()
