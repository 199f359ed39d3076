"""What the accuracy of an encoder is compared with: encoders of the store that have learned nothing."""

import numpy as np
from numpy.typing import NDArray

from featurestore.errors import EvaluationError, StoreCorrupt
from featurestore.estimators.knn import rank_classes
from featurestore.evaluation.knn import KnnReport, neighbour_classes
from featurestore.metrics.statistics import bootstrap, compare_items
from featurestore.report.values import LEARNED_NOTHING, Baseline
from featurestore.storage import LabelledItems, Storage


def measure_baselines(store: Storage, labelled: LabelledItems, report: KnnReport) -> tuple[Baseline, ...]:
    """Measure the encoders of the store that have learned nothing, with the k, T and items of the k-NN report of `labelled`.

    Encoders that have vectors of other items are left out, since their figures could not be compared.
    """
    snapshot = store.snapshots.now()
    own = None
    found = []
    for record in snapshot.encoders:
        if record.card["method"] not in LEARNED_NOTHING or record.fingerprint == labelled.encoder.fingerprint:
            continue
        try:
            other = LabelledItems.of(snapshot.item_vectors(record.fingerprint))
        except (EvaluationError, StoreCorrupt):
            continue
        if not _same_items(labelled, other):
            continue
        own = _correct(labelled, report) if own is None else own
        correct = _correct(other, report)
        interval, gain = bootstrap(correct, report.seed), compare_items(correct, own, report.seed)
        found.append(Baseline(record.name, record.card["method"], float(correct.mean()), interval, gain))
    return tuple(found)


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
