"""Episodes of N ways and K shots: some classes are drawn again and again, and a few labels of each predict some more of their items.

The measure of meta-learning (Vinyals et al. 2016), with nearest means (Snell et al. 2017).
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featurestore.errors import EvaluationError
from featurestore.estimators import nearest_mean
from featurestore.evaluation.lowshot import REST
from featurestore.metrics.checks import check_finite, first_few
from featurestore.metrics.statistics import half_width
from featurestore.progress import Listener
from featurestore.storage import LabelledItems
from featurestore.storage.storage import Storage

Labels = NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class EpisodesResult:
    """Accuracy over episodes: fractions in [0, 1]."""

    way: int  # classes in an episode
    shots: int  # labels a class
    queries: int  # items to predict a class
    episodes: int
    classes: int  # that have enough labels to be drawn
    top1_mean: float
    top1_ci95: float  # half-width of the 95 % interval of the mean, by Student's t


@dataclass(frozen=True, slots=True)
class EpisodesReport:
    """Accuracy over episodes with nearest means, with everything needed to repeat it."""

    encoder: str  # fingerprint
    split: str  # "train->test": shots from train, queries from test; or "drawn->rest"
    n_train: int
    n_test: int
    seed: int
    method: str
    results: list[EpisodesResult]
    where: str | None  # what the images were chosen by
    notes: list[str]

    def to_json(self) -> dict[str, Any]:
        return {"protocol": "episodes", **asdict(self)}


def episodes(
    store: Storage,
    way: int = 5,
    shots: Sequence[int] = (1, 5),
    queries: int = 15,
    count: int = 600,
    encoder: str | Path | None = None,
    seed: int = 0,
    listener: Listener | None = None,
    where: str | None = None,
) -> EpisodesReport:
    """Measure `count` episodes for each number of shots: `way` classes with that many labels each predict `queries` more items of each.

    where: only items for which this SQL expression is true. Raises EvaluationError when fewer than `way` classes have enough labels, or
    items have several; QueryError.
    """
    labelled = store.labelled_items(encoder, where)
    return measure_episodes(labelled, way, shots, queries, count, seed, listener or Listener())


def measure_episodes(
    labelled: LabelledItems, way: int, shots: Sequence[int], queries: int, count: int, seed: int, listener: Listener
) -> EpisodesReport:
    """Measure episodes of labelled items, as `episodes`."""
    x, codes = labelled.vectors(labelled.train), labelled.codes[labelled.train]
    test = None if labelled.leave_one_out else (labelled.vectors(labelled.test), labelled.codes[labelled.test])
    listener.start("episodes", len(shots) * count)
    results = [
        run_episodes(x, codes, way, n, queries, count, test, seed, labelled.names, listener.advance) for n in shots
    ]
    split = REST if labelled.leave_one_out else labelled.split
    return EpisodesReport(
        labelled.encoder.fingerprint, split, labelled.n_train, labelled.n_test, seed, "nearest-mean", results, labelled.where, labelled.notes
    )  # fmt: skip


def run_episodes(
    x: NDArray[np.floating],
    labels: Labels,
    way: int,
    shots: int,
    queries: int = 15,
    episodes: int = 600,
    test: tuple[NDArray[np.floating], Labels] | None = None,
    seed: int = 0,
    names: Sequence[str] | None = None,
    advance: Callable[[], object] = lambda: None,
) -> EpisodesResult:
    """Run episodes on arrays; each depends on the seed and its number alone.

    x: (N, D), unit length; labels: (N,). Queries come from `test`, vectors (M, D) and labels (M,), or from the same rows as the shots when
    that is None; then no row is both. Raises EvaluationError when fewer than `way` classes have enough labels; names: class names for it.
    """
    if way < 2 or shots < 1 or queries < 1 or episodes < 2:
        raise EvaluationError(
            f"way {way}, shots {shots}, queries {queries}, episodes {episodes}: expected at least 2, 1, 1 and 2"
        )
    check_finite(x, *(() if test is None else test[:1]))
    query_x, query_labels = (x, labels) if test is None else test
    rows_of = {int(c): np.flatnonzero(labels == c) for c in np.unique(labels)}
    query_rows_of = {c: np.flatnonzero(query_labels == c) for c in rows_of}
    available = {c: (len(rows), len(query_rows_of[c])) for c, rows in rows_of.items()}
    needed = (shots + queries if test is None else shots, queries)
    enough = [c for c, (own, other) in available.items() if own >= needed[0] and other >= needed[1]]
    if len(enough) < way:
        few = [
            f"{names[c] if names else c} has {_describe(*available[c], test is None)}"
            for c in available
            if c not in enough
        ]
        raise EvaluationError(
            f"way = {way}: expected so many classes with {_describe(*needed, test is None)} each, found {len(enough)}{f' ({first_few(few)})' if few else ''}"
        )
    scores = []
    for episode in range(episodes):
        rng = np.random.default_rng([seed, episode])
        chosen = rng.choice(enough, way, replace=False)
        if test is None:
            drawn = np.stack([rng.choice(rows_of[c], shots + queries, replace=False) for c in chosen])
            support, query = drawn[:, :shots].ravel(), drawn[:, shots:].ravel()
        else:
            support = np.concatenate([rng.choice(rows_of[c], shots, replace=False) for c in chosen])
            query = np.concatenate([rng.choice(query_rows_of[c], queries, replace=False) for c in chosen])
        predicted = nearest_mean.predict(x[support], labels[support], query_x[query])
        scores.append(float((predicted == query_labels[query]).mean()))
        advance()
    return EpisodesResult(way, shots, queries, episodes, len(enough), float(np.mean(scores)), half_width(scores))


def _describe(support: int, query: int, same_rows: bool) -> str:
    labels = f"{support} label{'' if support == 1 else 's'}"
    return labels if same_rows else f"{labels} to learn from and {query} to predict"
