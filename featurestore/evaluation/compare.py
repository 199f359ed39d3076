"""Encoders compared on the same items: the accuracy of each, and its difference from the first."""

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median_low

import numpy as np
from numpy.typing import NDArray

from featurestore.ann.exact import scan
from featurestore.ann.faiss_index import floats
from featurestore.ann.knn_graph import without_self
from featurestore.errors import EvaluationError
from featurestore.estimators.linear import c_grid
from featurestore.evaluation.comparison import ComparedEncoder, Comparison, Figure
from featurestore.evaluation.knn import TEMPERATURE, knn_accuracies, neighbour_classes, temperature_notes
from featurestore.evaluation.linear import CROSS_VALIDATION, GRID, linear_predictions
from featurestore.evaluation.lowshot import REST, TRIES, lowshot_accuracies, possible_shots
from featurestore.evaluation.shared_items import SharedItems, StoreEncoder, find_encoders
from featurestore.metrics.label_free import neighbour_agreement, rankme, sample, uniformity
from featurestore.metrics.splits import shot_draws
from featurestore.metrics.statistics import compare_draws, compare_items
from featurestore.metrics.twins import without_twins
from featurestore.progress import Listener, shows_progress
from featurestore.storage import LabelledItems
from featurestore.storage.storage import Storage

K, SHOTS = 20, (1, 5)
METHOD = "nearest-mean"  # for few labels
SAMPLED = 4_096  # items at most for the figures without labels, whose cost is quadratic


@dataclass(frozen=True, slots=True)
class Protocol:
    """How every encoder is measured."""

    k: int
    temperature: float
    draws: dict[int, list[NDArray[np.intp]]]  # by labels a class: the items drawn in each try
    cs: list[float]  # values of C that linear classification tries; none: it is not measured
    seed: int


@dataclass(frozen=True, slots=True)
class EncoderFigures:
    """Results of one encoder. The same index is the same item, or the same draw, for all encoders."""

    knn: NDArray[np.bool_] | None  # (n_test,): whether each item was predicted correctly
    linear: NDArray[np.bool_] | None
    c: float | None
    lowshot: dict[int, NDArray[np.float64]]  # by labels a class: accuracy of each try, (TRIES,)
    rankme: float
    uniformity: float
    neighbours: NDArray[np.int64]  # (sampled, K)


@shows_progress
def compare(
    *stores: Storage | str | Path,
    encoders: Sequence[str | Path] = (),
    k: int | None = None,
    temperature: float = TEMPERATURE,
    shots: Sequence[int] | None = None,
    linear: bool | None = None,
    grid: int = GRID,
    seed: int = 0,
    listener: Listener | None = None,
    where: str | None = None,
) -> Comparison:
    """Measure each encoder on the items that all encoders have vectors of, and its differences from the first encoder.

    encoders: which of those in the stores, the first being the one to compare with; default all. k: neighbours; None is 20, or as many as
    there are. shots: labels a class; None is 1 and 5, as far as every class has them. linear: None measures it when scikit-learn is
    installed; grid: how many values of C it tries. where: only items for which this SQL expression is true in the first store. Without
    labels only the figures that need none are given. Raises EvaluationError when fewer than two items are shared, all labels are the same,
    items have several, or k or shots are more than there are; EncoderNotInStore; QueryError; ConfigError when `linear` is True without
    scikit-learn.
    """
    listener = listener or Listener()
    shared = SharedItems.of(find_encoders([_open(store) for store in stores], encoders))
    if where is not None:
        shared = shared.matching(where)
    view = shared.view(0)
    labelled = shared.labelled(view)
    linear = importlib.util.find_spec("sklearn") is not None if linear is None else linear
    cs = c_grid(grid) if linear and labelled is not None else []
    protocol = _protocol(len(view.items.ids), labelled, k, temperature, shots, cs, seed)
    results = [_measure(shared, n, protocol, listener) for n in range(len(shared.encoders))]
    twins = np.zeros(0, bool) if labelled is None else labelled.twins
    return Comparison(
        rows=[_row(encoder, own, results[0], twins) for encoder, own in zip(shared.encoders, results, strict=True)],
        items=len(view.items.ids),
        left_out=shared.left_out,
        labelled_otherwise=shared.labelled_otherwise,
        split=labelled.split if labelled else None,
        linear_split=_split(labelled, CROSS_VALIDATION) if protocol.cs else None,
        lowshot_split=_split(labelled, REST) if protocol.draws else None,
        n_train=labelled.n_train if labelled else 0,
        n_test=labelled.n_test if labelled else 0,
        classes=len(labelled.names) if labelled else 0,
        unseen=labelled.unseen if labelled else [],
        k=protocol.k,
        temperature=temperature,
        grid=grid,
        tries=TRIES,
        sampled=min(SAMPLED, len(view.items.ids)),
        seed=seed,
        twins=int(twins.sum()),
        where=where,
        notes=[*labelled.notes, *temperature_notes(temperature)] if labelled else [],
    )


def _open(store: Storage | str | Path) -> Storage:
    return store if isinstance(store, Storage) else Storage.open(store)


def _split(labelled: LabelledItems | None, without_test: str) -> str | None:
    return None if labelled is None else without_test if labelled.leave_one_out else labelled.split


def _protocol(
    items: int,
    labelled: LabelledItems | None,
    k: int | None,
    temperature: float,
    shots: Sequence[int] | None,
    cs: list[float],
    seed: int,
) -> Protocol:
    """Choose k and shots where they are None, and draw the few labels once for all encoders."""
    most = items - 1 if labelled is None else labelled.n_train - labelled.leave_one_out
    k = min(K, most) if k is None else k
    if not 1 <= k <= most:
        raise EvaluationError(f"k = {k}: expected from 1 to {most}, the number of items to compare an item with")
    draws = {}
    if labelled is not None:
        codes = labelled.codes[labelled.train]
        for n in possible_shots(SHOTS, codes, labelled.leave_one_out) if shots is None else shots:
            draws[n] = list(shot_draws(codes, n, TRIES, seed, labelled.names))
    return Protocol(k, temperature, draws, cs, seed)


def _measure(shared: SharedItems, number: int, protocol: Protocol, listener: Listener) -> EncoderFigures:
    listener.start(f"measuring {shared.encoders[number].name}", None)
    view = shared.view(number)
    sampled = sample(len(view.vectors), SAMPLED, protocol.seed)
    x = floats(view.vectors[sampled])
    _, neighbours = without_self(*scan(x, view.vectors, np.arange(len(view.vectors)), protocol.k + 1), sampled)
    knn, linear, c, few = None, None, None, {}
    labelled = shared.labelled(view)
    if labelled is not None:
        knn = _knn(labelled, protocol)
        few = _lowshot(labelled, protocol)
        if protocol.cs:
            linear, c = _linear(labelled, protocol, listener)
    return EncoderFigures(knn, linear, c, few, rankme(x), uniformity(x), neighbours)


def _knn(labelled: LabelledItems, protocol: Protocol) -> NDArray[np.bool_]:
    scores, codes = neighbour_classes(labelled, protocol.k)
    truth = labelled.codes[labelled.test]
    k, temperature = [protocol.k], protocol.temperature
    _, predicted = knn_accuracies(scores, codes, truth, len(labelled.names), k, temperature)
    return np.asarray(predicted == truth)


def _lowshot(labelled: LabelledItems, protocol: Protocol) -> dict[int, NDArray[np.float64]]:
    x, codes = labelled.vectors(labelled.train), labelled.codes[labelled.train]
    test = None if labelled.leave_one_out else (labelled.vectors(labelled.test), labelled.codes[labelled.test])
    return {
        shots: np.array(lowshot_accuracies(x, codes, drawn, [METHOD], test)[METHOD])
        for shots, drawn in protocol.draws.items()
    }


def _linear(labelled: LabelledItems, protocol: Protocol, listener: Listener) -> tuple[NDArray[np.bool_], float]:
    _, chosen, predicted = linear_predictions(labelled, protocol.cs, protocol.seed, listener)
    return np.asarray(predicted == labelled.codes)[labelled.test], median_low(chosen)


def _row(
    encoder: StoreEncoder, own: EncoderFigures, first: EncoderFigures, twins: NDArray[np.bool_]
) -> ComparedEncoder:
    """Make the row of one encoder: its figures and their differences from the first encoder, which may be itself."""
    record = encoder.view.items.encoder

    def figure(right: NDArray[np.bool_] | None, of_first: NDArray[np.bool_] | None) -> Figure | None:
        if right is None or of_first is None:
            return None
        difference = None if own is first else compare_items(of_first, right)
        return Figure(float(right.mean()), difference, without_twins(right, twins).top1_without)

    few = {
        shots: Figure(float(tries.mean()), None if own is first else compare_draws(first.lowshot[shots], tries))
        for shots, tries in own.lowshot.items()
    }
    return ComparedEncoder(
        str(encoder.store.path), record.name, record.fingerprint, record.dim, record.card["method"], record.card["backbone"],
        figure(own.knn, first.knn), figure(own.linear, first.linear), own.c, few, own.rankme, own.uniformity,
        neighbour_agreement(first.neighbours, own.neighbours),
    )  # fmt: skip
