"""Figures of a store: its vectors and labels, handed to the functions of `evaluation`."""

from collections.abc import Sequence

import numpy as np

from featurestore.errors import EvaluationError
from featurestore.evaluation import knn
from featurestore.index.engine import floats
from featurestore.index.exact import scan
from featurestore.index.graph import without_self
from featurestore.results import KnnReport
from featurestore.views import View


def measure_knn(view: View, ks: Sequence[int], temperature: float) -> KnnReport:
    """Measure k-NN classification by labels: split test against train when both are there, else leave-one-out.

    Raises EvaluationError when there are no labels, or a k is larger than the labelled items to compare with.
    """
    if not ks or min(ks) < 1:
        raise EvaluationError(f"k = {', '.join(map(str, ks)) or 'none'}: expected at least 1")
    items, vectors = view.items, view.vectors
    labelled = items.labels.is_valid().to_numpy(zero_copy_only=False)
    if not labelled.any():
        raise EvaluationError(
            "k-NN needs labels, the store has none: index with --labels folders, or give them by `featurestore label STORE FILE.csv`"
        )
    rows = items.rows[labelled]
    labels = items.labels.filter(labelled).to_numpy(zero_copy_only=False).astype(str)
    splits = items.splits.filter(labelled).to_numpy(zero_copy_only=False)
    names, codes = np.unique(labels, return_inverse=True)
    train, test = splits == "train", splits == "test"
    leave_one_out = not (train.any() and test.any())
    if leave_one_out:
        train = test = np.ones(len(rows), bool)
    available = int(train.sum()) - leave_one_out
    if max(ks) > available:
        raise EvaluationError(
            f"k = {max(ks)} is more than the {available} labelled images there are to compare with; choose a smaller --k"
        )
    scores, found = scan(floats(vectors[rows[test]]), vectors, rows[train], max(ks) + leave_one_out)
    if leave_one_out:
        scores, found = without_self(scores, found, rows)
    order = np.searchsorted(rows, found)
    results, classes = knn.evaluate(scores, codes[order], codes[test], [str(n) for n in names], ks, temperature)
    split = "leave-one-out" if leave_one_out else "train->test"
    return KnnReport(items.encoder.fingerprint, split, temperature, int(train.sum()), int(test.sum()), results, classes)
