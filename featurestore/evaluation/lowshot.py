"""Classification of the items of a store from few labels.

Labels are drawn several times, and every method sees the same draws; a draw of more labels contains the draw of fewer.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featurestore.errors import EvaluationError
from featurestore.estimators.few_shot import FEW_SHOT_METHODS, NEEDS_SKLEARN, SETTINGS
from featurestore.metrics.checks import check_classes, check_finite, first_few
from featurestore.metrics.splits import fraction_draws, shot_draws
from featurestore.metrics.statistics import half_width
from featurestore.progress import Listener
from featurestore.storage import LabelledItems
from featurestore.storage.storage import Storage
from featurestore.system.packages import require

SHOTS, FRACTIONS, TRIES = (1, 2, 5, 10), (0.01, 0.1), 10
MEASURED = ("nearest-mean", "knn", "logistic", "ridge")
REST = "drawn->rest"  # without a test split, the items that were not drawn are predicted

Floats = NDArray[np.floating]
Labels = NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class LowShotResult:
    """Accuracy with few labels: fractions in [0, 1]."""

    shots: int | None  # labels a class
    fraction: float | None  # share of all labels, instead of shots
    method: str
    top1_mean: float
    top1_ci95: float  # half-width of the 95 % interval of the mean over tries, by Student's t
    tries: int
    labels: int  # drawn in each try, of all classes together
    without: float | None = None  # top1_mean without the twins; None when there are none

    def to_json(self) -> dict[str, Any]:
        amount = {"shots": self.shots} if self.fraction is None else {"fraction": self.fraction}
        figures = {"top1_mean": self.top1_mean, "top1_ci95": self.top1_ci95}
        return {
            **amount,
            "method": self.method,
            **figures,
            "tries": self.tries,
            "labels": self.labels,
            "without_twins": self.without,
        }


@dataclass(frozen=True, slots=True)
class LowShotReport:
    """Accuracy with few labels, with everything needed to repeat it."""

    encoder: str  # fingerprint
    split: str  # "train->test" or "drawn->rest"
    n_train: int  # labels to draw from
    n_test: int  # without a test split the drawn ones have to be subtracted: only the others are predicted
    seed: int  # of the first try; each further try has the next one
    settings: dict[str, dict[str, float]]  # of the methods that have any
    results: list[LowShotResult]
    left_out: dict[str, int]  # classes with too few labels for any of the shots, with how many they have
    twins: int  # images to predict with an exact copy among those whose labels may be drawn
    where: str | None  # what the images were chosen by
    notes: list[str]

    def to_json(self) -> dict[str, Any]:
        return {"protocol": "lowshot", **asdict(self), "results": [result.to_json() for result in self.results]}


def lowshot(
    store: Storage,
    shots: Sequence[int] | None = None,
    fractions: Sequence[float] | None = None,
    tries: int = TRIES,
    methods: Sequence[str] = MEASURED,
    encoder: str | Path | None = None,
    seed: int = 0,
    listener: Listener | None = None,
    where: str | None = None,
) -> LowShotReport:
    """Measure how well a few labels, drawn `tries` times, predict split test, or the items that were not drawn when there is none.

    shots: labels a class; classes with fewer are left out. fractions: shares of all labels. With neither, 1, 2, 5 and 10 shots, as far as
    every class has them, and 1 % and 10 %. methods: some of nearest-mean, knn, logistic, ridge, nearest-neighbour. where: only items for
    which this SQL expression is true. Raises EvaluationError when fewer than two classes have enough labels, items have several, or a
    method is unknown; QueryError; ConfigError without scikit-learn.
    """
    labelled = store.labelled_items(encoder, where)
    return measure_lowshot(labelled, shots, fractions, tries, methods, seed, listener or Listener())


def measure_lowshot(
    labelled: LabelledItems,
    shots: Sequence[int] | None,
    fractions: Sequence[float] | None,
    tries: int,
    methods: Sequence[str],
    seed: int,
    listener: Listener,
) -> LowShotReport:
    """Measure labelled items with few labels, as `lowshot`."""
    _check(tries, methods)
    if shots is None and fractions is None:
        shots, fractions = possible_shots(SHOTS, labelled.codes[labelled.train], labelled.leave_one_out), FRACTIONS
    labelled, left_out = with_enough_labels(labelled, max(shots or (1,)))
    x, codes = labelled.vectors(labelled.train), labelled.codes[labelled.train]
    drawn = [
        *((n, None, list(shot_draws(codes, n, tries, seed, labelled.names))) for n in shots or ()),
        *((None, share, list(fraction_draws(codes, share, tries, seed))) for share in fractions or ()),
    ]
    test = None if labelled.leave_one_out else (labelled.vectors(labelled.test), labelled.codes[labelled.test])
    twins = labelled.twins
    others = None if test is None else (test[0][~twins], test[1][~twins])
    listener.start("drawing labels", len(drawn) * tries * (2 if twins.any() else 1))
    results: list[LowShotResult] = []
    for n, share, rows in drawn:
        found = lowshot_accuracies(x, codes, rows, methods, test, listener.advance)
        without: dict[str, list[float]] = {}
        if twins.any() and not twins.all():
            without = lowshot_accuracies(
                x, codes, rows, methods, others, listener.advance, twins if test is None else None
            )
        results += summarize(found, len(rows[0]), n, share, without)
    split = REST if labelled.leave_one_out else labelled.split
    settings = {method: SETTINGS[method] for method in methods if method in SETTINGS}
    return LowShotReport(
        labelled.encoder.fingerprint, split, labelled.n_train, labelled.n_test, seed, settings, results, left_out, int(twins.sum()),
        labelled.where, labelled.notes,
    )  # fmt: skip


def with_enough_labels(labelled: LabelledItems, least: int) -> tuple[LabelledItems, dict[str, int]]:
    """Leave out the classes with fewer labels to draw from than `least`; gives the others, and how many labels each left out has.

    Raises EvaluationError when fewer than two classes are left, or nothing of them to predict.
    """
    codes, names = labelled.codes, labelled.names
    counts = np.bincount(codes[labelled.train], minlength=len(names))
    small = [code for code in np.unique(codes).tolist() if counts[code] < least]
    left_out = {names[code]: int(counts[code]) for code in small}
    if len(np.unique(codes)) - len(small) < 2:
        most = np.sort(counts)[-2]
        listed = first_few([f"{name} has {count}" for name, count in left_out.items()])
        raise EvaluationError(
            f"shots = {least}: expected between 1 and {most}, which two classes have labels for ({listed}); choose fewer --shots or label more"
        )
    kept = ~np.isin(codes, small)
    if not (kept & labelled.test).any():
        raise EvaluationError(
            f"no item of split test has one of the {len(names) - len(small)} classes of split train; label some of these in split test"
        )
    return (labelled.only(kept) if small else labelled), left_out


def lowshot_accuracies(
    x: Floats,
    labels: Labels,
    draws: Sequence[NDArray[np.intp]],
    methods: Sequence[str],
    test: tuple[Floats, Labels] | None = None,
    advance: Callable[[], object] = lambda: None,
    unasked: NDArray[np.bool_] | None = None,
) -> dict[str, list[float]]:
    """Compute the top-1 accuracy after each draw for each method, by name of `few_shot.FEW_SHOT_METHODS`.

    x: (N, D), unit length; labels: (N,); test: vectors (M, D) and labels (M,) to predict, or None for the rows that were not drawn,
    without those that `unasked` (N,) marks. Raises EvaluationError when no row is left to predict, or a vector holds NaN.
    """
    check_finite(x, *(() if test is None else test[:1]))
    check_classes(labels)
    found: dict[str, list[float]] = {method: [] for method in methods}
    for rows in draws:
        test_x, test_y = _not_drawn(x, labels, rows, unasked) if test is None else test
        for method in methods:
            predicted = FEW_SHOT_METHODS[method](x[rows], labels[rows], test_x)
            found[method].append(float((predicted == test_y).mean()))
        advance()
    return found


def summarize(
    accuracies: dict[str, list[float]],
    labels: int,
    shots: int | None = None,
    fraction: float | None = None,
    without_twins: dict[str, list[float]] | None = None,
) -> list[LowShotResult]:
    """Compute mean and interval over two tries or more of each method, and the mean of its accuracies without twins."""
    others = {method: float(np.mean(tries)) for method, tries in (without_twins or {}).items()}
    return [
        LowShotResult(
            shots, fraction, method, float(np.mean(tries)), half_width(tries), len(tries), labels, others.get(method)
        )
        for method, tries in accuracies.items()
    ]


def possible_shots(shots: Sequence[int], codes: NDArray[np.int64], leave_some: bool) -> list[int]:
    """Choose the shots that every class has labels for, and, with `leave_some`, that leave items to predict."""
    counts = np.unique(codes, return_counts=True)[1]
    return [n for n in shots if n <= counts.min() and (not leave_some or n * len(counts) < len(codes))]


def _check(tries: int, methods: Sequence[str]) -> None:
    if tries < 2:
        raise EvaluationError(f"tries = {tries}: expected at least 2, since the interval comes from their spread")
    unknown = [method for method in methods if method not in FEW_SHOT_METHODS]
    if unknown or not methods:
        raise EvaluationError(f"method {', '.join(unknown) or 'none'}: expected some of {', '.join(FEW_SHOT_METHODS)}")
    if set(methods) & set(NEEDS_SKLEARN):
        require("sklearn", extra="eval")


def _not_drawn(
    x: Floats, labels: Labels, rows: NDArray[np.intp], unasked: NDArray[np.bool_] | None
) -> tuple[Floats, Labels]:
    left = np.ones(len(labels), bool) if unasked is None else ~unasked
    left[rows] = False
    if not left.any():
        raise EvaluationError(
            f"all {len(rows)} labels were drawn and none is left to predict; expected fewer shots or a smaller fraction"
        )
    return x[left], labels[left]
