"""Linear classification of the labelled items of a store."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean, median_low
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featurestore.estimators.linear import LinearResult, best_c, c_grid, logistic, try_c
from featurestore.metrics.confusion import ClassFigures, class_figures
from featurestore.metrics.splits import folds
from featurestore.metrics.statistics import wilson
from featurestore.metrics.twins import Twins, without_twins
from featurestore.progress import Listener
from featurestore.storage import LabelledItems
from featurestore.storage.storage import Storage
from featurestore.system.packages import require

GRID = 12  # values of C in the range of DINOv2's 45: one a power of ten
FOLDS = 5  # without a test split
CROSS_VALIDATION = "cross-validation"
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class LinearReport:
    """Accuracy of logistic regression on the vectors of a store, with everything needed to repeat it."""

    encoder: str  # fingerprint
    split: str  # "train->test" or "cross-validation"
    n_train: int
    n_test: int
    seed: int  # of the held-out rows and the folds
    results: list[LinearResult]  # on the held-out rows of train; with several folds their means
    c: float  # the C chosen; with several folds the median
    top1: float
    top1_ci95: tuple[float, float]
    classes: list[ClassFigures]
    unseen: list[str]  # classes of test items that no other item has
    twins: Twins
    where: str | None  # what the images were chosen by
    notes: list[str]

    def to_json(self) -> dict[str, Any]:
        return {"protocol": "linear", **asdict(self)}


def linear(
    store: Storage,
    grid: int = GRID,
    encoder: str | Path | None = None,
    seed: int = 0,
    listener: Listener | None = None,
    where: str | None = None,
) -> LinearReport:
    """Measure logistic regression: trained on split train, tested on split test, or by cross-validation when one of them is missing.

    grid: how many values of C are tried; 45 are those of DINOv2. where: only items for which this SQL expression is true. Needs
    scikit-learn. Raises EvaluationError, also when items have several labels; QueryError, ConfigError.
    """
    return measure_linear(store.labelled_items(encoder, where), grid, seed, listener or Listener())


def measure_linear(labelled: LabelledItems, grid: int, seed: int, listener: Listener) -> LinearReport:
    """Measure logistic regression on labelled items, as `linear`."""
    cs = c_grid(grid)
    tried, chosen, codes = linear_predictions(labelled, cs, seed, listener)
    results = [LinearResult(c, fmean(part[i].top1 for part in tried)) for i, c in enumerate(cs)]
    truth, predicted = labelled.codes[labelled.test], codes[labelled.test]
    right = predicted == truth
    return LinearReport(
        labelled.encoder.fingerprint, CROSS_VALIDATION if labelled.leave_one_out else labelled.split, labelled.n_train, labelled.n_test, seed,
        results, median_low(chosen), float(right.mean()), wilson(right), class_figures(predicted, truth, labelled.names),
        labelled.unseen, without_twins(right, labelled.twins), labelled.where, labelled.notes,
    )  # fmt: skip


def linear_predictions(
    labelled: LabelledItems, cs: Sequence[float], seed: int, listener: Listener
) -> tuple[list[list[LinearResult]], list[float], NDArray[np.int64]]:
    """Train on train and predict test, or predict each fold from the others.

    Returns the results for each C and the C chosen, of each part, and the predicted codes (n,), -1 where an item is not of test.
    """
    require("sklearn", extra="eval")
    parts = _parts(labelled, seed)
    predicted = np.full(len(labelled.codes), -1)
    tried: list[list[LinearResult]] = []
    chosen: list[float] = []
    listener.start("fitting", len(parts) * (len(cs) + 1))
    for train, test in parts:
        x, codes = labelled.vectors(train), labelled.codes[train]
        tried.append(try_c(x, codes, cs, seed, listener.advance))
        chosen.append(best_c(tried[-1]))
        predicted[test] = logistic(x, codes, labelled.vectors(test), chosen[-1])
        listener.advance()
    return tried, chosen, predicted


def _parts(labelled: LabelledItems, seed: int) -> list[tuple[Mask, Mask]]:
    """Pairs of train and test masks, (n,) each: one for the splits, or one a fold."""
    if not labelled.leave_one_out:
        return [(labelled.train, labelled.test)]
    fold = folds(labelled.codes, FOLDS, seed)
    return [(fold != f, fold == f) for f in range(FOLDS) if (fold == f).any()]
