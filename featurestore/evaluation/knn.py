"""k-NN classification by weighted votes: how well neighbours in the vector space share a label.

Protocol of DINO (Caron et al. 2021, appendix F.1): each of the k nearest labelled vectors votes for its label with weight
exp(score / T). The neighbours themselves come from whoever holds the vectors.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featurestore.errors import EvaluationError


@dataclass(frozen=True, slots=True)
class KnnResult:
    """Accuracy at one k: fractions in [0, 1]."""

    k: int
    top1: float
    top5: float


@dataclass(frozen=True, slots=True)
class ClassFigures:
    """How one class fares, at the first k asked for. A precision of nothing predicted is None."""

    label: str
    n: int  # queries of this class
    recall: float | None
    precision: float | None


def votes(
    scores: NDArray[np.floating], labels: NDArray[np.integer], classes: int, temperature: float
) -> NDArray[np.float64]:
    """Sum each neighbour's weight exp(score / T) by class: (N, classes), each row scaled by one factor against overflow.

    scores: (N, K), descending; labels: (N, K), in [0, classes).
    """
    weights = np.exp((scores - scores[:, :1]).astype(np.float64) / temperature)
    cells = np.arange(len(labels))[:, None] * classes + labels
    summed = np.bincount(cells.ravel(), weights.ravel(), minlength=len(labels) * classes).astype(np.float64, copy=False)
    return summed.reshape(-1, classes)


def predict(vote: NDArray[np.float64], top: int = 1) -> NDArray[np.intp]:
    """The `top` classes with most votes, best first: (N, top). Of equal votes the class that comes first wins."""
    return np.argsort(-vote, axis=1, kind="stable")[:, :top]


def evaluate(
    scores: NDArray[np.floating],
    neighbour_labels: NDArray[np.integer],
    labels: NDArray[np.integer],
    names: Sequence[str],
    ks: Sequence[int],
    temperature: float,
) -> tuple[list[KnnResult], list[ClassFigures]]:
    """Compute top-1 and top-5 for each k, and recall and precision of each class at the first k.

    scores, neighbour_labels: (N, K), nearest first; labels: (N,), the truth. Labels index `names`. A class without a vote is
    never among the top five. Raises EvaluationError when a k is not in [1, K] or the temperature not positive.
    """
    most = scores.shape[1]
    if not ks or min(ks) < 1 or max(ks) > most:
        raise EvaluationError(
            f"k = {', '.join(map(str, ks))}: expected between 1 and {most}, the number of labelled vectors to compare with"
        )
    if not temperature > 0:
        raise EvaluationError(f"temperature {temperature}: expected more than 0, such as 0.07")
    results = []
    for k in ks:
        vote = votes(scores[:, :k], neighbour_labels[:, :k], len(names), temperature)
        ranked = predict(vote, top=5)
        voted = np.take_along_axis(vote, ranked, axis=1) > 0
        hits = (ranked == labels[:, None]) & voted
        results.append(KnnResult(k, float(hits[:, 0].mean()), float(hits.any(axis=1).mean())))
        if k == ks[0]:
            figures = class_figures(ranked[:, 0], labels, names)
    return results, figures


def class_figures(
    predicted: NDArray[np.integer], labels: NDArray[np.integer], names: Sequence[str]
) -> list[ClassFigures]:
    """Recall and precision of each class that occurs among `labels`; predicted, labels: (N,)."""
    right = np.bincount(labels[predicted == labels], minlength=len(names))
    n, said = np.bincount(labels, minlength=len(names)), np.bincount(predicted, minlength=len(names))
    return [
        ClassFigures(name, int(n[i]), float(right[i] / n[i]), float(right[i] / said[i]) if said[i] else None)
        for i, name in enumerate(names)
        if n[i]
    ]
