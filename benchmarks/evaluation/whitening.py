"""Whitened vectors against plain ones, by collection and encoder; the form is chosen on the other collections.

    python -m benchmarks.collections COLLECTIONS --cifar10 CIFAR10 --photos PHOTOS
    python -m benchmarks.evaluation.whitening COLLECTIONS encoder.onnx pixels.onnx

COLLECTIONS holds a folder for each collection, with train/<class>/ and test/<class>/. Whitenings of several strengths and shrinkages are
fitted to the train vectors of each, without labels. For each collection that form is reported which is best on all others: by the mean
gain of k-NN (k = 10) and of nearest class means with 5 labels a class. Prints Markdown: accuracy plain, in the product's form, and in
the form that the others chose.
"""

import tempfile
from itertools import product
from pathlib import Path

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.pipeline import Vectors, labelled_vectors
from benchmarks.tables import table
from featurestore.ann.normalize import unit_rows
from featurestore.estimators.knn import neighbours, top_classes, votes
from featurestore.estimators.nearest_mean import predict
from featurestore.estimators.whitening import SHRINKAGE, STRENGTH, spectrum

FORMS = [*product((0.15, 0.25, 0.35, 0.5), (0.1, 1.0, 3.0, 10.0, 30.0, 100.0))]  # strength, shrinkage
PRODUCT = (STRENGTH, SHRINKAGE)
K, TEMPERATURE, SHOTS, DRAWS = 10, 0.07, (1, 5), 20


def accuracies(train_x: Vectors, train_y: NDArray[np.int64], test_x: Vectors, test_y: NDArray[np.int64]) -> list[float]:
    """Measure k-NN, and nearest class means with each of SHOTS labels a class."""
    scores, found = neighbours(train_x, test_x, min(K, len(train_x)))
    voted = top_classes(votes(scores, train_y[found], int(train_y.max()) + 1, TEMPERATURE))[:, 0]
    return [float((voted == test_y).mean()), *(few_labels(train_x, train_y, test_x, test_y, shots) for shots in SHOTS)]


def few_labels(
    train_x: Vectors, train_y: NDArray[np.int64], test_x: Vectors, test_y: NDArray[np.int64], shots: int
) -> float:
    """Measure nearest class means with some labels a class: the mean of DRAWS draws, the same for each encoder."""
    rng = np.random.default_rng(0)
    found = []
    for _ in range(DRAWS):
        order = rng.permutation(len(train_y))
        chosen = np.concatenate([order[train_y[order] == label][:shots] for label in np.unique(train_y)])
        found.append((predict(train_x[chosen], train_y[chosen], test_x) == test_y).mean())
    return float(np.mean(found))


def measure(folder: Path, encoder: Path, work: Path) -> tuple[list[float], dict[tuple[float, float], list[float]]]:
    """Measure an encoder on a collection: plain, and whitened in each form."""
    train_x, train_y, test_x, test_y = labelled_vectors(folder, encoder, work)
    whitened, fitted = {}, spectrum(train_x)
    for form in FORMS:
        white = fitted.whitening(*form)
        whitened[form] = accuracies(unit_rows(white(train_x)), train_y, unit_rows(white(test_x)), test_y)
    return accuracies(train_x, train_y, test_x, test_y), whitened


def chosen_form(
    name: str, figures: dict[tuple[str, str], tuple[list[float], dict[tuple[float, float], list[float]]]]
) -> tuple[float, float]:
    """Choose the form with the largest mean gain of k-NN and 5 labels on all collections but one."""
    others = [found for (collection, _), found in figures.items() if collection != name]
    gains = {
        form: np.mean([np.subtract(whitened[form], plain)[[0, 2]] for plain, whitened in others]) for form in FORMS
    }
    return max(gains, key=lambda form: float(gains[form]))


@click.command()
@click.argument("collections", type=click.Path(path_type=Path, exists=True))
@click.argument("encoders", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
def main(collections: Path, encoders: tuple[Path, ...]) -> None:
    """Measure and print a table."""
    figures = {}
    for folder in sorted(path for path in collections.iterdir() if path.is_dir()):
        for encoder in encoders:
            with tempfile.TemporaryDirectory() as work:
                figures[folder.name, encoder.stem] = measure(folder, encoder, Path(work))
            click.echo(f"{folder.name}, {encoder.stem}", err=True)
    rows = []
    for (name, stem), (plain, whitened) in figures.items():
        form = chosen_form(name, figures)
        columns = zip(plain, whitened[PRODUCT], whitened[form], strict=True)
        rows.append(
            [name, stem, f"{form[0]:g}, {form[1]:g}", *(", ".join(f"{x:.3f}" for x in column) for column in columns)]
        )
    heads = [f"{what}: plain, product's, chosen" for what in ("k-NN", *(f"{n} a class" for n in SHOTS))]
    table(["collection", "encoder", "form chosen by others", *heads], rows)
    for form in FORMS:
        gains = np.array([np.subtract(whitened[form], plain) for plain, whitened in figures.values()]) * 100
        mean, worst = (", ".join(f"{x:+.1f}" for x in part) for part in (gains.mean(axis=0), gains.min(axis=0)))
        click.echo(f"strength {form[0]:g}, shrinkage {form[1]:g}: mean gain {mean} points, worst {worst}")


if __name__ == "__main__":
    main()
