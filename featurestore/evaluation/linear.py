"""Linear classification of the items of a store."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from statistics import fmean, median_low
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featurestore.estimators import linear
from featurestore.estimators.linear import LinearResult
from featurestore.metrics.confusion import ClassFigures, class_figures
from featurestore.metrics.splits import folds
from featurestore.metrics.statistics import bootstrap
from featurestore.progress import Listener
from featurestore.storage.labelled_items import LabelledItems
from featurestore.system.packages import need

GRID = 12  # values of C between the same ends as the 45 of DINOv2: one a power of ten
FOLDS = 5  # where there is no test split
CROSS_VALIDATION = "cross-validation"
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class LinearReport:
    """Figures of a linear classifier on the vectors of a store."""

    encoder: str  # fingerprint
    split: str  # "train->test" or "cross-validation"
    n_train: int
    n_test: int
    seed: int  # of what is held out, the folds, and the interval
    results: list[LinearResult]  # on the rows held out of train; of several folds their means
    c: float  # that was taken; of several folds the middle one
    top1: float
    top1_ci95: tuple[float, float]
    classes: list[ClassFigures]
    unseen: list[str]  # classes that are asked for and no other item has

    def to_json(self) -> dict[str, Any]:
        return {"protocol": "linear", **asdict(self)}


def measure_linear(labelled: LabelledItems, grid: int, seed: int, listener: Listener) -> LinearReport:
    """Measure logistic regression: train against test when both are there, else by cross-validation.

    grid: how many values of C are tried. Raises EvaluationError as `evaluation.linear` does, ConfigError without scikit-learn.
    """
    cs = linear.grid(grid)
    tried, chosen, said = answers(labelled, cs, seed, listener)
    results = [LinearResult(c, fmean(line[i].top1 for line in tried)) for i, c in enumerate(cs)]
    truth, said = labelled.codes[labelled.test], said[labelled.test]
    return LinearReport(
        labelled.encoder.fingerprint, CROSS_VALIDATION if labelled.leave_one_out else labelled.split, labelled.n_train, labelled.n_test, seed,
        results, median_low(chosen), float((said == truth).mean()), bootstrap(said == truth, seed), class_figures(said, truth, labelled.names),
        labelled.unseen,
    )  # fmt: skip


def answers(
    labelled: LabelledItems, cs: Sequence[float], seed: int, listener: Listener
) -> tuple[list[list[LinearResult]], list[float], NDArray[np.int64]]:
    """Learn from train and name test, or each fold by the others: what was tried and the C taken for each part, and codes (n,), of test."""
    need("sklearn", extra="eval")
    parts = _parts(labelled, seed)
    said = np.full(len(labelled.codes), -1)
    tried: list[list[LinearResult]] = []
    chosen: list[float] = []
    listener.start("fitting", len(parts) * (len(cs) + 1))
    for train, test in parts:
        x, codes = labelled.vectors(train), labelled.codes[train]
        tried.append(linear.choose(x, codes, cs, seed, listener.advance))
        chosen.append(linear.best(tried[-1]))
        said[test] = linear.classify(x, codes, labelled.vectors(test), chosen[-1])
        listener.advance()
    return tried, chosen, said


def _parts(labelled: LabelledItems, seed: int) -> list[tuple[Mask, Mask]]:
    """What is learnt from and what is asked, (n,) each: of the splits, or of each fold."""
    if not labelled.leave_one_out:
        return [(labelled.train, labelled.test)]
    fold = folds(labelled.codes, FOLDS, seed)
    return [(fold != f, fold == f) for f in range(FOLDS) if (fold == f).any()]
