"""The same items through several encoders: what each is worth here, beside the first."""

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
from featurestore.estimators.linear import grid as linear_grid
from featurestore.evaluation.comparison import ComparedEncoder, Comparison, Figure
from featurestore.evaluation.knn import TEMPERATURE, nearest
from featurestore.evaluation.linear import CROSS_VALIDATION, GRID
from featurestore.evaluation.linear import answers as linear_answers
from featurestore.evaluation.lowshot import REST, TRIES, that_fit
from featurestore.evaluation.shared_items import Common, Side, sides
from featurestore.metrics import knn, lowshot, paired
from featurestore.metrics import label_free as labelfree
from featurestore.progress import Listener
from featurestore.storage.labelled_items import LabelledItems
from featurestore.storage.snapshot import ItemVectors
from featurestore.store import FeatureStore

K, SHOTS = 20, (1, 5)
METHOD = "nearest-mean"  # by few labels
SAMPLED = 4_096  # items at most for the figures without labels, whose cost grows with the square


@dataclass(frozen=True, slots=True)
class Plan:
    """What every encoder is asked."""

    k: int
    temperature: float
    shots: dict[
        int, list[NDArray[np.intp]]
    ]  # by labels a class: which of the items to learn from are drawn, for each try
    cs: list[float]  # values of C that linear classification tries; none: it is not measured
    seed: int


@dataclass(frozen=True, slots=True)
class Answers:
    """What one encoder says of the common items: in all of them one place is the same item, or the same draw."""

    knn: NDArray[np.bool_] | None  # (n_test,): whether an item was named rightly
    linear: NDArray[np.bool_] | None
    c: float | None
    shots: dict[int, NDArray[np.float64]]  # by labels a class: the share named rightly, (TRIES,)
    rankme: float
    uniformity: float
    neighbours: NDArray[np.int64]  # (sampled, K)


def compare(
    *stores: FeatureStore | str | Path,
    encoders: Sequence[str | Path] = (),
    k: int | None = None,
    temperature: float = TEMPERATURE,
    shots: Sequence[int] | None = None,
    linear: bool | None = None,
    grid: int = GRID,
    seed: int = 0,
    listener: Listener | None = None,
) -> Comparison:
    """Measure the items that all encoders have vectors of by each encoder, and by how much the others differ from the first.

    encoders: which of those in the stores, the first being what the others are compared with; none given are all. k: neighbours; None is 20, or
    as many as there are. shots: labels a class; None is 1 and 5, as far as every class has them. linear: None measures it where scikit-learn
    is installed; grid: how many values of C it tries. Without labels only the figures that need none are given. Raises EvaluationError when fewer
    than two items are common, all labels are the same, or k or shots are more than there are; EncoderNotInStore; ConfigError when `linear` is
    asked for without scikit-learn.
    """
    listener = listener or Listener()
    common = Common.of(sides([_open(store) for store in stores], encoders))
    view = common.view(0)
    labelled = _labelled(view)
    linear = importlib.util.find_spec("sklearn") is not None if linear is None else linear
    cs = linear_grid(grid) if linear and labelled is not None else []
    plan = _plan(len(view.items.ids), labelled, k, temperature, shots, cs, seed)
    answers = [_ask(side, common.view(number), plan, listener) for number, side in enumerate(common.sides)]
    return Comparison(
        rows=[_row(side, theirs, answers[0], seed) for side, theirs in zip(common.sides, answers, strict=True)],
        items=len(view.items.ids),
        left_out=common.left_out,
        otherwise=common.otherwise,
        split=labelled.split if labelled else None,
        linear_split=_split(labelled, CROSS_VALIDATION) if plan.cs else None,
        lowshot_split=_split(labelled, REST) if plan.shots else None,
        n_train=labelled.n_train if labelled else 0,
        n_test=labelled.n_test if labelled else 0,
        classes=len(labelled.names) if labelled else 0,
        unseen=labelled.unseen if labelled else [],
        k=plan.k,
        temperature=temperature,
        grid=grid,
        tries=TRIES,
        sampled=min(SAMPLED, len(view.items.ids)),
        seed=seed,
    )


def _open(store: FeatureStore | str | Path) -> FeatureStore:
    return store if isinstance(store, FeatureStore) else FeatureStore.open(store)


def _labelled(view: ItemVectors) -> LabelledItems | None:
    return None if view.items.labels.null_count == len(view.items.labels) else LabelledItems.of(view)


def _split(labelled: LabelledItems | None, without_test: str) -> str | None:
    return None if labelled is None else without_test if labelled.leave_one_out else labelled.split


def _plan(
    items: int,
    labelled: LabelledItems | None,
    k: int | None,
    temperature: float,
    shots: Sequence[int] | None,
    cs: list[float],
    seed: int,
) -> Plan:
    """Settle what was left open, and draw the few labels once for all encoders."""
    most = items - 1 if labelled is None else labelled.n_train - labelled.leave_one_out
    k = min(K, most) if k is None else k
    if not 1 <= k <= most:
        raise EvaluationError(f"k = {k}: expected from 1 to {most}, as many as there are to compare an item with")
    drawn = {}
    if labelled is not None:
        codes = labelled.codes[labelled.train]
        for n in that_fit(SHOTS, codes, labelled.leave_one_out) if shots is None else shots:
            drawn[n] = list(lowshot.draws(codes, n, TRIES, seed, labelled.names))
    return Plan(k, temperature, drawn, cs, seed)


def _ask(side: Side, view: ItemVectors, plan: Plan, listener: Listener) -> Answers:
    listener.start(f"measuring {side.name}", None)
    sampled = labelfree.sample(len(view.vectors), SAMPLED, plan.seed)
    x = floats(view.vectors[sampled])
    _, neighbours = without_self(*scan(x, view.vectors, np.arange(len(view.vectors)), plan.k + 1), sampled)
    right, linear_right, c, few = None, None, None, {}
    labelled = _labelled(view)
    if labelled is not None:
        right = _right_by_knn(labelled, plan)
        few = _right_by_few(labelled, plan)
        if plan.cs:
            linear_right, c = _right_by_linear(labelled, plan, listener)
    return Answers(right, linear_right, c, few, labelfree.rankme(x), labelfree.uniformity(x), neighbours)


def _right_by_knn(labelled: LabelledItems, plan: Plan) -> NDArray[np.bool_]:
    scores, codes = nearest(labelled, plan.k)
    truth = labelled.codes[labelled.test]
    _, said = knn.evaluate(scores, codes, truth, labelled.names, [plan.k], plan.temperature, plan.seed)
    return np.asarray(said == truth)


def _right_by_few(labelled: LabelledItems, plan: Plan) -> dict[int, NDArray[np.float64]]:
    x, codes = labelled.vectors(labelled.train), labelled.codes[labelled.train]
    test = None if labelled.leave_one_out else (labelled.vectors(labelled.test), labelled.codes[labelled.test])
    return {
        shots: np.array(lowshot.accuracies(x, codes, drawn, [METHOD], test)[METHOD])
        for shots, drawn in plan.shots.items()
    }


def _right_by_linear(labelled: LabelledItems, plan: Plan, listener: Listener) -> tuple[NDArray[np.bool_], float]:
    _, chosen, said = linear_answers(labelled, plan.cs, plan.seed, listener)
    return np.asarray(said == labelled.codes)[labelled.test], median_low(chosen)


def _row(side: Side, own: Answers, first: Answers, seed: int) -> ComparedEncoder:
    """The figures of one encoder beside those of the first, which may be itself."""
    record = side.view.items.encoder

    def by_items(right: NDArray[np.bool_] | None, of_first: NDArray[np.bool_] | None) -> Figure | None:
        if right is None or of_first is None:
            return None
        return Figure(float(right.mean()), None if own is first else paired.by_items(of_first, right, seed))

    few = {
        shots: Figure(float(right.mean()), None if own is first else paired.by_draws(first.shots[shots], right))
        for shots, right in own.shots.items()
    }
    return ComparedEncoder(
        str(side.store.path), record.name, record.fingerprint, record.dim, record.card["method"], record.card["backbone"],
        by_items(own.knn, first.knn), by_items(own.linear, first.linear), own.c, few, own.rankme, own.uniformity,
        labelfree.neighbour_agreement(first.neighbours, own.neighbours),
    )  # fmt: skip
