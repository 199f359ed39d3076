"""Figures of single classes: recall, precision and the confusion matrix."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """Recall and precision of one class. The precision is None when the class was never predicted."""

    label: str
    n: int  # test items of this class
    recall: float | None
    precision: float | None


@dataclass(frozen=True, slots=True)
class Confusion:
    """The confusion matrix: counts[i][j] items of class labels[i] were predicted as labels[j]."""

    labels: list[str]
    counts: list[list[int]]

    def pairs(self) -> list[tuple[int, str, str]]:
        """List the mistakes as (count, true class, predicted class), most frequent first, then by class."""
        mistakes = [
            (count, truth, predicted)
            for truth, line in zip(self.labels, self.counts, strict=True)
            for predicted, count in zip(self.labels, line, strict=True)
            if count and truth != predicted
        ]
        return sorted(mistakes, key=lambda mistake: -mistake[0])


def class_figures(
    predicted: NDArray[np.integer], labels: NDArray[np.integer], names: Sequence[str]
) -> list[ClassFigures]:
    """Compute recall and precision of each class that occurs in `labels`; predicted, labels: (N,), indices into `names`."""
    right = np.bincount(labels[predicted == labels], minlength=len(names))
    n, n_predicted = np.bincount(labels, minlength=len(names)), np.bincount(predicted, minlength=len(names))
    return [
        ClassFigures(
            name, int(n[i]), float(right[i] / n[i]), float(right[i] / n_predicted[i]) if n_predicted[i] else None
        )
        for i, name in enumerate(names)
        if n[i]
    ]


def confusion(predicted: NDArray[np.integer], labels: NDArray[np.integer], names: Sequence[str]) -> Confusion:
    """Count predictions by true class; predicted, labels: (N,), indices into `names`. Classes that occur in neither are left out."""
    counts = np.bincount(labels * len(names) + predicted, minlength=len(names) ** 2).reshape(len(names), -1)
    present = np.flatnonzero(counts.any(axis=0) | counts.any(axis=1)).tolist()
    return Confusion([names[i] for i in present], counts[np.ix_(present, present)].tolist())
