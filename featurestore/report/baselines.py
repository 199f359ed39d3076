"""What the accuracy of an encoder is compared with: encoders of the store that have learned nothing."""

import numpy as np
from numpy.typing import NDArray

from featurestore.errors import EvaluationError, QueryError
from featurestore.estimators.knn import rank_classes
from featurestore.evaluation.knn import KnnReport, measure_knn, neighbour_classes
from featurestore.metrics.statistics import compare_items
from featurestore.report.values import LEARNED_NOTHING, Baseline
from featurestore.storage import LabelledItems, Storage


def measure_baselines(store: Storage, labelled: LabelledItems, report: KnnReport) -> tuple[Baseline, ...]:
    """Measure the encoders of the store that have learned nothing, with the k, T and items of the k-NN report of `labelled`.

    Encoders that have vectors of other items are left out, since their figures could not be compared.
    """
    names = [
        record.fingerprint
        for record in store.snapshots.now().encoders
        if record.card["method"] in LEARNED_NOTHING and record.fingerprint != report.encoder
    ]
    if not names:
        return ()
    own = _correct(labelled, report)
    others = (_labelled_items(store, name, labelled.where) for name in names)
    return tuple(_baseline(other, report, own) for other in others if other and _same_items(labelled, other))


def _labelled_items(store: Storage, encoder: str, where: str | None) -> LabelledItems | None:
    try:
        return store.labelled_items(encoder, where)
    except (EvaluationError, QueryError):  # it has vectors of other items only
        return None


def _baseline(other: LabelledItems, report: KnnReport, own: NDArray[np.bool_]) -> Baseline:
    record = other.encoder
    [measured] = measure_knn(other, [report.k], report.temperature).results
    gain = compare_items(_correct(other, report), own)
    return Baseline(record.name, record.card["method"], measured.top1, measured.top1_ci95, gain)


def _same_items(labelled: LabelledItems, other: LabelledItems) -> bool:
    return all(
        np.array_equal(np.sort(labelled.ids[mask]), np.sort(other.ids[other_mask]))
        for mask, other_mask in ((labelled.train, other.train), (labelled.test, other.test))
    )


def _correct(labelled: LabelledItems, report: KnnReport) -> NDArray[np.bool_]:
    """Whether each test item was predicted correctly, (n_test,), by ascending id."""
    scores, codes = neighbour_classes(labelled, report.k)
    predicted = rank_classes(scores, codes, len(labelled.names), report.temperature, top=1)[:, 0]
    return np.asarray((predicted == labelled.codes[labelled.test])[np.argsort(labelled.ids[labelled.test])])
