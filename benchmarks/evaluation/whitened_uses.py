"""What half-whitening does to linear classifiers, retrieval and approximate search; k-NN and few labels: `benchmarks.evaluation.whitening`.

    python -m benchmarks.collections COLLECTIONS --cifar10 CIFAR10 --photos PHOTOS
    python -m benchmarks.evaluation.whitened_uses COLLECTIONS encoder.onnx pixels.onnx

The product's whitening is fitted to the train vectors of each collection, without labels. A logistic regression is fitted to at most 5,000
labels of train, with C chosen by cross-validation within them, and predicts test. Each image of test ranks all of train for the mean average precision
of its label. Where a collection has at least 20,000 images, an index of all vectors is built for a recall@10 of 0.95. Prints Markdown: plain
and whitened of each; of the index the lists and candidates that a query looks at, and the recall with so many.
"""

import tempfile
from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.evaluation.adaptation import names_in
from benchmarks.pipeline import Vectors, labelled_vectors
from benchmarks.tables import table
from featurestore.ann.build import build_index
from featurestore.ann.normalize import unit_rows
from featurestore.estimators.linear import best_c, c_grid, logistic, try_c
from featurestore.estimators.whitening import fit
from featurestore.metrics.retrieval import evaluate

LEAST_INDEXED, RECALL, MEMORY, GRID, MOST_LINEAR = 20_000, 0.95, 2**30, 12, 5_000


def linear(train_x: Vectors, train_y: NDArray[np.int64], test_x: Vectors, test_y: NDArray[np.int64]) -> float:
    """Measure a logistic regression at the C that cross-validation within train chooses; of many images on MOST_LINEAR of them."""
    if len(train_x) > MOST_LINEAR:
        some = np.random.default_rng(0).permutation(len(train_x))[:MOST_LINEAR]
        train_x, train_y = train_x[some], train_y[some]
    c = best_c(try_c(train_x, train_y, c_grid(GRID)))
    return float((logistic(train_x, train_y, test_x, c) == test_y).mean())


def index_effort(x: Vectors) -> str:
    """Build an index, and say what a query for ten vectors looks at."""
    if len(x) < LEAST_INDEXED:
        return ""
    _, card = build_index(x.astype(np.float16), RECALL, MEMORY, lambda what, count: None, lambda count: None)
    setting = card.setting(10, 1.0)
    return f"{setting.probes} of {card.lists} lists, {setting.candidates} candidates: {setting.recall:.3f}"


def line(collection: Path, encoder: Path) -> list[str]:
    """Measure an encoder on a collection, as cells of a table."""
    with tempfile.TemporaryDirectory() as work:
        train_x, train_y, test_x, test_y = labelled_vectors(collection, encoder, Path(work))
    white = fit(train_x)
    forms = [(train_x, test_x), (unit_rows(white(train_x)), unit_rows(white(test_x)))]
    accuracy = [linear(train, train_y, test, test_y) for train, test in forms]
    precision = [evaluate(test, train, test_y, train_y).map for train, test in forms]
    found = [", ".join(f"{value:.3f}" for value in values) for values in (accuracy, precision)]
    return [collection.name, encoder.stem, *found, *(index_effort(np.concatenate(form)) for form in forms)]


@click.command(help=__doc__)
@click.argument("collections", type=click.Path(exists=True, path_type=Path))
@click.argument("encoders", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--only", multiple=True, metavar="NAME", help="[default: all collections]")
def main(collections: Path, encoders: tuple[Path, ...], only: Sequence[str]) -> None:
    rows = []
    for name in names_in(collections, only):
        for encoder in encoders:
            rows.append(line(collections / name, encoder))
            click.echo(" ".join(rows[-1]), err=True)
    heads = ("linear: plain, whitened", "mean average precision: plain, whitened", "index, plain", "index, whitened")
    table(["collection", "encoder", *heads], rows)


if __name__ == "__main__":
    main()
