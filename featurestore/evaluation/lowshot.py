"""Classification of the items of a store by few labels."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featurestore.errors import EvaluationError
from featurestore.estimators.few_shot import METHODS, OF_SKLEARN, SETTINGS
from featurestore.metrics import episodes, lowshot
from featurestore.metrics.episodes import EpisodesResult
from featurestore.metrics.lowshot import LowShotResult
from featurestore.progress import Listener
from featurestore.storage.labelled_items import LabelledItems
from featurestore.system.packages import need

SHOTS, FRACTIONS, TRIES = (1, 2, 5, 10), (0.01, 0.1), 10
MEASURED = ("nearest-mean", "knn", "logistic", "ridge")
REST = "drawn->rest"  # where there is no test split, what was not drawn is named


@dataclass(frozen=True, slots=True)
class LowShotReport:
    """Figures of few labels, each try with labels drawn anew."""

    encoder: str  # fingerprint
    split: str  # "train->test" or "drawn->rest"
    n_train: int  # that labels are drawn from
    n_test: int  # without a test split those that were not drawn are named: so many less the labels of a result
    seed: int  # of the first try; the next one's is one higher
    settings: dict[str, dict[str, float]]  # of the methods that have any
    results: list[LowShotResult]

    def to_json(self) -> dict[str, Any]:
        return {"protocol": "lowshot", **asdict(self), "results": [result.to_json() for result in self.results]}


@dataclass(frozen=True, slots=True)
class EpisodesReport:
    """Figures of episodes of N ways and K shots, with prototypes."""

    encoder: str  # fingerprint
    split: str  # "train->test": shots of train, queries of test; or "drawn->rest"
    n_train: int
    n_test: int
    seed: int
    method: str
    results: list[EpisodesResult]

    def to_json(self) -> dict[str, Any]:
        return {"protocol": "episodes", **asdict(self)}


def measure_lowshot(
    labelled: LabelledItems,
    shots: Sequence[int] | None,
    fractions: Sequence[float] | None,
    tries: int,
    methods: Sequence[str],
    seed: int,
    listener: Listener,
) -> LowShotReport:
    """Name test by a few labels of train, or, where there is no test split, the rest by a few of all.

    shots, fractions: labels a class, and shares of all labels; when both are None, those of SHOTS that every class has, and FRACTIONS.
    Raises EvaluationError when a class has fewer labels than shots, or a method is unknown; ConfigError without scikit-learn.
    """
    _check(tries, methods)
    x, codes = labelled.vectors(labelled.train), labelled.codes[labelled.train]
    if shots is None and fractions is None:
        shots, fractions = that_fit(SHOTS, codes, labelled.leave_one_out), FRACTIONS
    drawn = [
        *((n, None, list(lowshot.draws(codes, n, tries, seed, labelled.names))) for n in shots or ()),
        *((None, share, list(lowshot.fraction_draws(codes, share, tries, seed))) for share in fractions or ()),
    ]
    test = None if labelled.leave_one_out else (labelled.vectors(labelled.test), labelled.codes[labelled.test])
    listener.start("drawing labels", len(drawn) * tries)
    results: list[LowShotResult] = []
    for n, share, rows in drawn:
        found = lowshot.accuracies(x, codes, rows, methods, test, listener.advance)
        results += lowshot.summary(found, len(rows[0]), n, share)
    split = REST if labelled.leave_one_out else labelled.split
    settings = {method: SETTINGS[method] for method in methods if method in SETTINGS}
    return LowShotReport(
        labelled.encoder.fingerprint, split, labelled.n_train, labelled.n_test, seed, settings, results
    )


def _check(tries: int, methods: Sequence[str]) -> None:
    if tries < 2:
        raise EvaluationError(f"tries = {tries}: expected at least 2, since an interval comes of how they differ")
    unknown = [method for method in methods if method not in METHODS]
    if unknown or not methods:
        raise EvaluationError(f"method {', '.join(unknown) or 'none'}: expected some of {', '.join(METHODS)}")
    if set(methods) & set(OF_SKLEARN):
        need("sklearn", extra="eval")


def that_fit(shots: Sequence[int], codes: NDArray[np.int64], leave_some: bool) -> list[int]:
    """Those numbers of labels a class that every class has, and that leave something to be named."""
    counts = np.unique(codes, return_counts=True)[1]
    return [n for n in shots if n <= counts.min() and (not leave_some or n * len(counts) < len(codes))]


def measure_episodes(
    labelled: LabelledItems, way: int, shots: Sequence[int], queries: int, count: int, seed: int, listener: Listener
) -> EpisodesReport:
    """Run `count` episodes of `way` classes for each number of shots; raises EvaluationError when too few classes have labels enough."""
    x, codes = labelled.vectors(labelled.train), labelled.codes[labelled.train]
    test = None if labelled.leave_one_out else (labelled.vectors(labelled.test), labelled.codes[labelled.test])
    listener.start("episodes", len(shots) * count)
    results = [
        episodes.evaluate(x, codes, way, n, queries, count, test, seed, labelled.names, listener.advance) for n in shots
    ]
    split = REST if labelled.leave_one_out else labelled.split
    return EpisodesReport(
        labelled.encoder.fingerprint, split, labelled.n_train, labelled.n_test, seed, "nearest-mean", results
    )
