"""How single classes fare: recall, precision, and what is taken for what."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """How one class fares. A precision of nothing predicted is None."""

    label: str
    n: int  # queries of this class
    recall: float | None
    precision: float | None


@dataclass(frozen=True, slots=True)
class Confusion:
    """What items of each class are taken for: counts[i][j] of class labels[i] are said to be of labels[j]."""

    labels: list[str]
    counts: list[list[int]]

    def pairs(self) -> list[tuple[int, str, str]]:
        """The mistakes: how often, what it was, and what it was taken for; most frequent first, then by class."""
        wrong = [
            (count, truth, said)
            for truth, line in zip(self.labels, self.counts, strict=True)
            for said, count in zip(self.labels, line, strict=True)
            if count and truth != said
        ]
        return sorted(wrong, key=lambda pair: -pair[0])


def class_figures(
    predicted: NDArray[np.integer], labels: NDArray[np.integer], names: Sequence[str]
) -> list[ClassFigures]:
    """Recall and precision of each class that occurs among `labels`; predicted, labels: (N,), places in `names`."""
    right = np.bincount(labels[predicted == labels], minlength=len(names))
    n, said = np.bincount(labels, minlength=len(names)), np.bincount(predicted, minlength=len(names))
    return [
        ClassFigures(name, int(n[i]), float(right[i] / n[i]), float(right[i] / said[i]) if said[i] else None)
        for i, name in enumerate(names)
        if n[i]
    ]


def confusion(predicted: NDArray[np.integer], labels: NDArray[np.integer], names: Sequence[str]) -> Confusion:
    """Count what each class is taken for; predicted, labels: (N,), places in `names`. Classes that never occur are left out."""
    counts = np.bincount(labels * len(names) + predicted, minlength=len(names) ** 2).reshape(len(names), -1)
    there = np.flatnonzero(counts.any(axis=0) | counts.any(axis=1)).tolist()
    return Confusion([names[i] for i in there], counts[np.ix_(there, there)].tolist())
