"""k-NN classification of the items of a store."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from featurestore.errors import EvaluationError
from featurestore.evaluation import knn
from featurestore.evaluation.classes import class_figures, confusion
from featurestore.index.exact import scan
from featurestore.index.graph import without_self
from featurestore.labelled import Labelled
from featurestore.results import KnnReport

KS, TEMPERATURE = (10, 20, 100, 200), 0.07  # of DINO (Caron et al. 2021)
OTHER = (200, 0.1)  # k and T of instance discrimination and MoCo (Wu et al. 2018), for comparison with their figures


def measure_knn(labelled: Labelled, ks: Sequence[int] | None, temperature: float, seed: int) -> KnnReport:
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


def nearest(labelled: Labelled, k: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
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
