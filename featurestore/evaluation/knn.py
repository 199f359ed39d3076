"""k-NN classification of the labelled items of a store.

Of images with several labels, a neighbour votes for each of its labels, and a prediction is right when the image has the predicted
label: 1 minus the one-error of multi-label classification (Schapire and Singer 2000, BoosTexter).
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featurestore.ann.exact import scan
from featurestore.ann.knn_graph import without_self
from featurestore.errors import EvaluationError
from featurestore.estimators.knn import rank_classes
from featurestore.evaluation.same_pictures import Leaking, known_leaks
from featurestore.metrics.checks import check_finite
from featurestore.metrics.confusion import ClassFigures, Confusion, class_figures, confusion
from featurestore.metrics.statistics import wilson
from featurestore.metrics.twins import Twins, without_twins
from featurestore.storage import LabelledItems
from featurestore.storage.storage import Storage

KS, TEMPERATURE = (10, 20, 100, 200), 0.07  # of DINO (Caron et al. 2021)
USUAL_TEMPERATURES = (0.01, 1.0)
OTHER = (200, 0.1)  # k and T of instance discrimination and MoCo (Wu et al. 2018), to compare with their figures


@dataclass(frozen=True, slots=True)
class KnnResult:
    """Accuracy at one k and T: fractions in [0, 1]."""

    k: int
    temperature: float
    top1: float
    top1_ci95: tuple[float, float]
    top5: float


@dataclass(frozen=True, slots=True)
class Leaks:
    """Test images that show the same picture as one that they are predicted from, exact, near or mirrored, and the accuracy without them."""

    n: int
    top1_without: float | None  # a fraction in [0, 1]; None when there are none, or no other images
    unseen: int  # contents of the store whose picture could not be looked at


@dataclass(frozen=True, slots=True)
class KnnReport:
    """k-NN accuracy of a store, with everything needed to repeat it."""

    encoder: str  # fingerprint
    split: str  # "train->test" or "leave-one-out"
    temperature: float  # of classes and confusion; each result has its own
    k: int  # the same
    n_train: int
    n_test: int
    results: list[KnnResult]
    classes: list[ClassFigures]  # empty when images have several labels, and so is the confusion matrix
    confusion: Confusion
    unseen: list[str]  # classes of test items that no other item has
    twins: Twins  # at `k`
    leaks: Leaks | None  # at `k`; None where the store does not know which items show the same picture
    several_labels: int  # images that have several
    where: str | None  # what the images were chosen by
    notes: list[str]

    def to_json(self) -> dict[str, Any]:
        return {"protocol": "knn", **asdict(self)}


def knn(
    store: Storage,
    k: int | Sequence[int] | None = None,
    temperature: float = TEMPERATURE,
    encoder: str | Path | None = None,
    where: str | None = None,
) -> KnnReport:
    """Measure k-NN classification of the items of split test by those of train, or of all items leave-one-out when one split is missing.

    k: how many neighbours vote; None is 10, 20, 100 and 200, as far as there are enough items, and 200 at T = 0.1. where: only items for
    which this SQL expression is true. Raises EvaluationError when there are no labels of two classes, or k is larger than the labelled
    items to compare with; QueryError.
    """
    labelled = store.labelled_items(encoder, where)
    return measure_knn(labelled, [k] if isinstance(k, int) else k, temperature, known_leaks(store, labelled))


def measure_knn(
    labelled: LabelledItems, ks: Sequence[int] | None, temperature: float, leaking: Leaking | None = None
) -> KnnReport:
    """Measure k-NN classification of labelled items, as `knn`. leaking: what `known_leaks` gives for them."""
    available = labelled.n_train - labelled.leave_one_out
    chosen = [k for k in KS if k <= available] or [available] if ks is None else list(ks)
    if not chosen or min(chosen) < 1:
        raise EvaluationError(f"k = {', '.join(map(str, chosen)) or 'none'}: expected at least 1")
    if max(chosen) > available:
        raise EvaluationError(
            f"k = {max(chosen)} is more than the {available} labelled images there are to compare with; choose a smaller --k"
        )
    scores, codes = neighbour_classes(labelled, max(chosen))
    truth = labelled.label_codes[labelled.test]
    results, predicted = knn_accuracies(scores, codes, truth, len(labelled.names), chosen, temperature)
    if ks is None and OTHER[0] in chosen and temperature == TEMPERATURE:
        results += knn_accuracies(scores, codes, truth, len(labelled.names), [OTHER[0]], OTHER[1])[0]
    right = (predicted[:, None] == truth).any(axis=1)
    classes: list[ClassFigures] = []
    matrix = Confusion([], [])
    if not labelled.several:
        classes = class_figures(predicted, truth[:, 0], labelled.names)
        matrix = confusion(predicted, truth[:, 0], labelled.names)
    leaks = None
    if leaking is not None:
        without = without_twins(right, leaking.items)
        leaks = Leaks(without.n, without.top1_without, leaking.unseen)
    return KnnReport(
        labelled.encoder.fingerprint, labelled.split, temperature, chosen[0], labelled.n_train, labelled.n_test, results, classes, matrix,
        labelled.unseen, without_twins(right, labelled.twins), leaks, labelled.several, labelled.where,
        [*labelled.notes, *temperature_notes(temperature)],
    )  # fmt: skip


def knn_accuracies(
    scores: NDArray[np.floating],
    neighbour_codes: NDArray[np.integer],
    truth: NDArray[np.integer],
    classes: int,
    ks: Sequence[int],
    temperature: float,
) -> tuple[list[KnnResult], NDArray[np.intp]]:
    """Compute top-1, its 95 % interval and top-5 for each k; and the class predicted for each query at the first k, (N,).

    scores: (N, K), nearest first; neighbour_codes: the same, or (N, K, L) with the codes of L labels; truth: (N,), or (N, L') likewise. Codes
    are in [0, classes), and -1 where there are fewer labels. A class without a vote is not among the top five. Raises EvaluationError when a k is not in [1, K], the temperature is not positive, or a score is NaN.
    """
    most = scores.shape[1]
    if not ks or min(ks) < 1 or max(ks) > most:
        raise EvaluationError(
            f"k = {', '.join(map(str, ks)) or 'none'}: expected between 1 and {most}, the number of labelled vectors to compare with"
        )
    if not 0 < temperature < math.inf:
        raise EvaluationError(f"temperature {temperature}: expected more than 0 and finite, such as 0.07")
    check_finite(scores)
    known = truth.reshape(len(truth), -1)
    ranked = [rank_classes(scores[:, :k], neighbour_codes[:, :k], classes, temperature) for k in ks]
    results = []
    for k, classes_of_k in zip(ks, ranked, strict=True):
        hits = ((classes_of_k[:, :, None] == known[:, None]) & (known[:, None] >= 0)).any(axis=2)
        top1, top5 = float(hits[:, 0].mean()), float(hits.any(axis=1).mean())
        results.append(KnnResult(k, temperature, top1, wilson(hits[:, 0]), top5))
    return results, ranked[0][:, 0]


def temperature_notes(temperature: float) -> list[str]:
    """Say in a sentence what an unusual temperature does to the votes; nothing for a usual one."""
    low, high = USUAL_TEMPERATURES
    if low <= temperature <= high:
        return []
    effect = "nearly only the nearest item votes" if temperature < low else "all k votes weigh nearly the same"
    return [f"temperature {temperature:g} is unusual, so {effect}; usual are {low:g} to {high:g}"]


def neighbour_classes(labelled: LabelledItems, k: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Find the k train items nearest to each test item, without itself: scores (n_test, k) and codes of their labels (n_test, k, L), best first.

    Of equal scores the lower row comes first.
    """
    rows = labelled.rows[labelled.train]
    queries = labelled.vectors(labelled.test)
    scores, found = scan(queries, labelled.stored, rows, k + labelled.leave_one_out)
    if labelled.leave_one_out:
        scores, found = without_self(scores, found, labelled.rows)
    place = np.empty(len(labelled.stored), np.int64)
    place[labelled.rows] = np.arange(len(labelled.rows))
    return scores, labelled.label_codes[place[found]]
