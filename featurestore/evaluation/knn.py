"""k-NN classification of the items of a store."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featurestore.ann.exact import scan
from featurestore.ann.knn_graph import without_self
from featurestore.errors import EvaluationError
from featurestore.metrics import knn
from featurestore.metrics.confusion import ClassFigures, Confusion, class_figures, confusion
from featurestore.metrics.knn import KnnResult
from featurestore.storage.labelled_items import LabelledItems

KS, TEMPERATURE = (10, 20, 100, 200), 0.07  # of DINO (Caron et al. 2021)
OTHER = (200, 0.1)  # k and T of instance discrimination and MoCo (Wu et al. 2018), for comparison with their figures


@dataclass(frozen=True, slots=True)
class KnnReport:
    """k-NN figures of a store, with everything needed to repeat them."""

    encoder: str  # fingerprint
    split: str  # "train->test" or "leave-one-out"
    temperature: float  # of classes and confusion; each result says its own
    k: int  # the same
    n_train: int
    n_test: int
    seed: int  # of the intervals
    results: list[KnnResult]
    classes: list[ClassFigures]
    confusion: Confusion
    unseen: list[str]  # classes that are asked for and no other item has

    def to_json(self) -> dict[str, Any]:
        return {"protocol": "knn", **asdict(self)}


def measure_knn(labelled: LabelledItems, ks: Sequence[int] | None, temperature: float, seed: int) -> KnnReport:
    """Measure k-NN classification by labels: split test against train when both are there, else leave-one-out.

    ks: None takes those of KS that there are enough items for, and OTHER beside them. Raises EvaluationError when a k is larger than
    the labelled items to compare with.
    """
    available = labelled.n_train - labelled.leave_one_out
    asked = [k for k in KS if k <= available] or [available] if ks is None else list(ks)
    if not asked or min(asked) < 1:
        raise EvaluationError(f"k = {', '.join(map(str, asked)) or 'none'}: expected at least 1")
    if max(asked) > available:
        raise EvaluationError(
            f"k = {max(asked)} is more than the {available} labelled images there are to compare with; choose a smaller --k"
        )
    scores, codes = nearest(labelled, max(asked))
    truth = labelled.codes[labelled.test]
    results, said = knn.evaluate(scores, codes, truth, labelled.names, asked, temperature, seed)
    if ks is None and OTHER[0] in asked and temperature == TEMPERATURE:
        results += knn.evaluate(scores, codes, truth, labelled.names, [OTHER[0]], OTHER[1], seed)[0]
    return KnnReport(
        labelled.encoder.fingerprint, labelled.split, temperature, asked[0], labelled.n_train, labelled.n_test, seed, results,
        class_figures(said, truth, labelled.names), confusion(said, truth, labelled.names), labelled.unseen,
    )  # fmt: skip


def nearest(labelled: LabelledItems, k: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Find the k items of train nearest to each of test, itself left out: scores and the codes of their classes, (n_test, k), best first.

    Of equal scores the lower row comes first.
    """
    rows = labelled.rows[labelled.train]
    asked = labelled.vectors(labelled.test)
    scores, found = scan(asked, labelled.stored, rows, k + labelled.leave_one_out)
    if labelled.leave_one_out:
        scores, found = without_self(scores, found, labelled.rows)
    code_of_row = np.empty(len(labelled.stored), np.int64)
    code_of_row[labelled.rows] = labelled.codes
    return scores, code_of_row[found]
