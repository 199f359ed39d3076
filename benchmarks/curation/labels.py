"""Wrong labels: planted into stores whose labels are right, and looked for as `featurestore label-errors` does."""

from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.tables import table
from featurestore import FeatureStore
from featurestore.ann.faiss_index import floats
from featurestore.curation.label_errors import LIKELY
from featurestore.curation.label_noise import (
    Labelled,
    chance_wrong,
    held_out_probabilities,
    neighbour_shares,
    wrongness,
)
from featurestore.storage.item_graph import item_graph

Codes = NDArray[np.int64]
Mask = NDArray[np.bool_]
REVIEWED = 100  # suspects that are counted


def right_labels(path: Path) -> Labelled:
    """Read the items of a store, one of each content, with their labels."""
    graph = item_graph(FeatureStore.open(path))
    first = np.unique(graph.nodes, return_index=True)[1]
    names, codes = np.unique(graph.view.items.labels.to_numpy(zero_copy_only=False).astype(str), return_inverse=True)
    return Labelled(graph.graph, floats(graph.view.vectors[graph.graph.rows]), codes[first], len(names))


def made_wrong(pictures: Labelled, share: float, by_image: bool, seed: int) -> Codes:
    """Make a share of the labels wrong, to classes that a k-NN mixes up: by its confusion matrix, or image by image by its votes."""
    generator = np.random.default_rng(seed)
    votes = neighbour_shares(pictures)
    confusion = np.zeros((pictures.classes, pictures.classes))
    np.add.at(confusion, (pictures.codes, votes.argmax(axis=1)), 1)
    codes = pictures.codes.copy()
    for item in generator.permutation(len(codes))[: round(share * len(codes))].tolist():
        own = pictures.codes[item]
        chances = (votes[item] if by_image else confusion[own]) + 1e-9
        chances[own] = 0
        codes[item] = generator.choice(pictures.classes, p=chances / chances.sum())
    return codes


def average_precision(score: NDArray[np.floating], wrong: Mask) -> float:
    from sklearn.metrics import average_precision_score

    return float(average_precision_score(wrong, score))


def row(pictures: Labelled, share: float, by_image: bool, seeds: int) -> list[str]:
    """Look for planted errors: means over seeds."""
    from cleanlab.rank import get_label_quality_scores

    found: list[list[float]] = []
    for seed in range(seeds):
        codes = made_wrong(pictures, share, by_image, seed)
        wrong = codes != pictures.codes
        noisy = Labelled(pictures.graph, pictures.vectors, codes, pictures.classes)
        probabilities = held_out_probabilities(noisy)
        score, suggested = wrongness(probabilities, codes)
        suspects = probabilities[np.arange(len(codes)), codes] < LIKELY
        chance = chance_wrong(noisy, probabilities, seed)
        first = np.argsort(-score, kind="stable")[: min(REVIEWED, int(wrong.sum()))]
        theirs = [
            average_precision(-get_label_quality_scores(codes, probabilities, method=method), wrong)
            for method in ("self_confidence", "normalized_margin")
        ]
        listed = np.where(suspects, score, score.min() - 1)
        found.append([
            average_precision(listed, wrong), *theirs, wrong[first].mean(), (suggested == pictures.codes)[wrong].mean(),
            chance[suspects].mean(), wrong[suspects].mean(), chance[first].mean(),
        ])  # fmt: skip
    mean = np.mean(found, axis=0)
    return [f"{share:.0%}, {'image by image' if by_image else 'by confusion'}", *(f"{value:.3f}" for value in mean)]


@click.command()
@click.argument("stores", type=click.Path(path_type=Path, exists=True), nargs=-1, required=True)
@click.option("--seeds", default=3, show_default=True)
def labels(stores: Sequence[Path], seeds: int) -> None:
    """Wrong labels among those of labelled stores, which are taken to be right: average precision, beside cleanlab's on the same probabilities."""
    rows = []
    for path in stores:
        pictures = right_labels(path)
        for share, by_image in ((0.02, False), (0.09, False), (0.09, True), (0.3, False)):
            rows.append([path.stem, *row(pictures, share, by_image, seeds)])
    table(
        [
            "store", "wrong labels", "average precision", "cleanlab, self-confidence", "cleanlab, margin", f"precision at {REVIEWED}",
            "right label suggested", "wrong among suspects, expected", "true", f"of the first {REVIEWED}, expected",
        ],
        rows,
    )  # fmt: skip
