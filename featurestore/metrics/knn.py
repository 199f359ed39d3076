"""k-NN classification by weighted votes: how well neighbours in the vector space share a label.

Protocol of DINO (Caron et al. 2021, appendix F.1): each of the k nearest labelled vectors votes for its label with weight
exp(score / T). The neighbours themselves come from whoever holds the vectors.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featurestore.errors import EvaluationError
from featurestore.metrics.checks import check_finite
from featurestore.metrics.statistics import bootstrap

TOP = 5
BLOCK = 4_096  # rows whose votes are counted together


@dataclass(frozen=True, slots=True)
class KnnResult:
    """Accuracy at one k and T: fractions in [0, 1]."""

    k: int
    temperature: float
    top1: float
    top1_ci95: tuple[float, float]
    top5: float


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
    """The `top` classes with most votes, best first: (N, top), -1 where no class is left that got any.

    Of equal votes the class that comes first wins.
    """
    left = vote.copy()
    every = np.arange(len(vote))
    ranked = np.empty((len(vote), top), np.intp)
    for place in range(top):
        best = left.argmax(axis=1)
        ranked[:, place] = np.where(left[every, best] > 0, best, -1)
        left[every, best] = 0
    return ranked


def rank(
    scores: NDArray[np.floating], labels: NDArray[np.integer], classes: int, temperature: float, top: int = TOP
) -> NDArray[np.intp]:
    """Let all K neighbours vote: the classes named, best first, (N, top), as `predict` gives them; arguments as of `votes`."""
    parts = [slice(start, start + BLOCK) for start in range(0, len(scores), BLOCK)]
    ranked = [predict(votes(scores[part], labels[part], classes, temperature), top) for part in parts]
    return np.concatenate([np.empty((0, top), np.intp), *ranked])


def evaluate(
    scores: NDArray[np.floating],
    neighbour_labels: NDArray[np.integer],
    labels: NDArray[np.integer],
    names: Sequence[str],
    ks: Sequence[int],
    temperature: float,
    seed: int = 0,
) -> tuple[list[KnnResult], NDArray[np.intp]]:
    """Compute top-1, its 95 % interval and top-5 for each k; and what each query is taken for at the first k, (N,).

    scores, neighbour_labels: (N, K), nearest first; labels: (N,), the truth. Labels index `names`. A class without a vote is
    never among the top five. Raises EvaluationError when a k is not in [1, K], the temperature not positive, or a score NaN.
    """
    most = scores.shape[1]
    if not ks or min(ks) < 1 or max(ks) > most:
        raise EvaluationError(
            f"k = {', '.join(map(str, ks)) or 'none'}: expected between 1 and {most}, the number of labelled vectors to compare with"
        )
    if not temperature > 0:
        raise EvaluationError(f"temperature {temperature}: expected more than 0, such as 0.07")
    check_finite(scores)
    results, predicted = [], None
    for k in ks:
        ranked = rank(scores[:, :k], neighbour_labels[:, :k], len(names), temperature)
        predicted = ranked[:, 0] if predicted is None else predicted
        hits = ranked == labels[:, None]
        interval = bootstrap(hits[:, 0], seed)
        results.append(KnnResult(k, temperature, float(hits[:, 0].mean()), interval, float(hits.any(axis=1).mean())))
    assert predicted is not None
    return results, predicted
