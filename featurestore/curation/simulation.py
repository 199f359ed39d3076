"""The loop of choosing, labelling and fitting, played on a collection whose labels are known: accuracy against the number of labels."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featurestore.curation.pool import Pool, Space
from featurestore.curation.strategies import STRATEGIES
from featurestore.curation.suggest import CANDIDATES, NO_LOSS, REFERENCES, choose, losses_of
from featurestore.errors import ConfigError, EvaluationError
from featurestore.estimators.linear import ridge
from featurestore.metrics.splits import held_out
from featurestore.metrics.statistics import half_width
from featurestore.progress import Listener
from featurestore.storage import LabelledItems
from featurestore.storage.storage import Storage
from featurestore.system.disk import atomic_write, require_suffix
from featurestore.system.packages import require

BUDGETS = (10, 20, 30, 50, 100, 200)  # labels in all
PLOTS = (".png", ".svg", ".pdf")
SEEDS, FEWEST_SEEDS = 10, 2
BATCH = 20  # labels between two fits, at most
SHARE = 0.8  # of the items to choose from that each seed sees
LARGEST = 0.5  # of these that may be labelled
HELD_OUT = 0.2  # share of the items that is predicted, where no split test has labels
FINER = 1.25  # ratio of the numbers of labels at which random choice is measured
FIRST = 2  # of these numbers
FURTHER = 8  # times the largest budget up to which it is

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class SimulatedAccuracy:
    """Accuracy of ridge regression from labels that a strategy chose: fractions in [0, 1]."""

    labels: int
    top1_mean: float
    top1_ci95: float  # half-width of the 95 % interval of the mean over seeds, by Student's t
    minus_random: float  # the mean of the differences to random choice on the same seeds
    minus_random_ci95: float  # half-width
    classes: float  # that have a label, on average


@dataclass(frozen=True, slots=True)
class SimulationReport:
    """How much each strategy saves."""

    encoder: str  # fingerprint
    split: str  # "train->test", or "held-out" where a fifth of all is predicted
    n_pool: int  # items to choose from
    n_test: int
    n_classes: int
    seeds: int
    strategies: dict[str, list[SimulatedAccuracy]]
    saving: dict[
        str, dict[str, float]
    ]  # by strategy and number of labels: labels that random choice needs for the same, as a multiple

    def to_json(self) -> dict[str, Any]:
        return {"protocol": "suggest-simulate", **asdict(self)}

    def plot(self, path: str | Path) -> Path:
        """Draw accuracy against labels, with 95 % intervals, as .png, .svg or .pdf. Raises ConfigError without matplotlib, DiskError."""
        require_suffix(Path(path), PLOTS, "a plot")
        require("matplotlib", extra="eval")
        from matplotlib.figure import Figure

        figure = Figure(figsize=(7, 4.5), layout="constrained")
        axes = figure.subplots()
        for name, rows in self.strategies.items():
            x = [row.labels for row in rows]
            y = np.array([row.top1_mean for row in rows]) * 100
            half = np.array([row.top1_ci95 for row in rows]) * 100
            [line] = axes.plot(x, y, marker="o", markersize=4, label=name, linestyle="--" if name == "random" else "-")
            axes.fill_between(x, y - half, y + half, color=line.get_color(), alpha=0.15, linewidth=0)
        axes.set_xscale("log")
        ticks = [row.labels for row in next(iter(self.strategies.values()))]
        axes.set_xticks(ticks, [str(tick) for tick in ticks], minor=False)
        axes.set_xticks([], minor=True)
        axes.set(xlabel="labels", ylabel="accuracy, %")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(axis="y", alpha=0.3)
        axes.legend(frameon=False)
        with atomic_write(Path(path), "expected a name such as plot.png in an existing folder") as file:
            figure.savefig(file, format=Path(path).suffix[1:].lower(), dpi=150)
        return Path(path)


def simulate(
    store: Storage,
    strategies: Sequence[str] | None = None,
    budgets: Sequence[int] | None = None,
    seeds: int = SEEDS,
    encoder: str | Path | None = None,
    listener: Listener | None = None,
) -> SimulationReport:
    """Play `suggest` on a labelled store: choose from split train, or from all but a fifth, and predict the rest by ridge regression.

    strategies: some of `STRATEGIES`; None is all that can run. budgets: numbers of labels. A tenth of the labels of each strategy is drawn
    at random, as `suggest` does. Each seed sees another 80 % of the items; all strategies see the same. Raises ConfigError for an
    unknown strategy or without scikit-learn; EvaluationError for too few labels or seeds.
    """
    require("sklearn", extra="eval")
    labelled = store.labelled_items(encoder)
    losses = losses_of(store, labelled.ids) if strategies is None or "loss" in strategies else None
    able = [name for name in STRATEGIES if name != "loss" or losses is not None]
    chosen = able if strategies is None else list(dict.fromkeys([*strategies, "random"]))
    unable = [name for name in chosen if name not in able]
    if unable:
        raise ConfigError(
            f"strategy {unable[0]!r}: expected one of {', '.join(STRATEGIES)}"
            if unable[0] not in STRATEGIES
            else NO_LOSS
        )
    if seeds < FEWEST_SEEDS:
        raise EvaluationError(f"seeds = {seeds}: expected {FEWEST_SEEDS} or more, for an interval")
    least = min(len(_to_choose_from(labelled, seed)) for seed in range(seeds))
    size = _size(least)
    most = int(LARGEST * size)
    wanted = [n for n in BUDGETS if n <= most] if budgets is None else sorted(set(budgets))
    if not wanted:
        raise EvaluationError(
            f"expected {int(BUDGETS[0] / LARGEST / SHARE)} labelled images or more to choose from, found {least}; label more, or give fewer --labels"
        )
    if wanted[0] < 1 or wanted[-1] > most:
        raise EvaluationError(
            f"labels = {', '.join(map(str, wanted))}: expected numbers from 1 to {most}, half of the {size} images that each seed chooses from"
        )
    found: dict[str, list[list[tuple[float, int]]]] = {name: [] for name in chosen}
    curves = []
    fine = _fine(wanted, size)
    listener = listener or Listener()
    listener.start("playing the loop", seeds * (len(chosen) + 1))
    for seed in range(seeds):
        game = Game.of(labelled, losses, seed)
        for name in chosen:
            found[name].append(list(game.play(name, wanted, seed)))
            listener.advance()
        curves.append([accuracy for accuracy, _ in game.play("random", fine, seed)])
        listener.advance()
    accuracies = {name: np.array(runs)[:, :, 0] for name, runs in found.items()}
    classes = {name: np.array(runs)[:, :, 1].mean(axis=0) for name, runs in found.items()}
    curve = np.maximum.accumulate(np.mean(curves, axis=0))
    return SimulationReport(
        labelled.encoder.fingerprint,
        "held-out" if labelled.leave_one_out else labelled.split,
        least,
        int(_held_out(labelled, 0).sum()),
        len(labelled.names),
        seeds,
        {name: _rows(wanted, values, accuracies["random"], classes[name]) for name, values in accuracies.items()},
        {
            name: savings(wanted, values.mean(axis=0), fine, curve)
            for name, values in accuracies.items()
            if name != "random"
        },
    )


def _held_out(labelled: LabelledItems, seed: int) -> NDArray[np.bool_]:
    """Say which items are predicted, (n,): those of split test, or a fifth of all."""
    return held_out(labelled.codes, HELD_OUT, seed) if labelled.leave_one_out else labelled.test


def _size(count: int) -> int:
    """Say how many of some items each seed sees."""
    return min(CANDIDATES, int(SHARE * count))


def _to_choose_from(labelled: LabelledItems, seed: int) -> Ints:
    """Give the places of the items that may be labelled: one of each content, and none that is predicted."""
    test = _held_out(labelled, seed)
    copies = labelled.twins_among(np.ones(len(test), bool), test)
    places = np.flatnonzero(labelled.train & ~test & ~copies)
    return places[_firsts(labelled.contents[places])]


def _fine(budgets: Sequence[int], most: int) -> list[int]:
    """List the numbers of labels at which random choice is measured."""
    numbers = [float(min(FIRST, budgets[0]))]
    while numbers[-1] < min(FURTHER * budgets[-1], most):
        numbers.append(numbers[-1] * FINER)
    return sorted({min(round(number), most) for number in numbers})


def _rows(
    budgets: Sequence[int], values: NDArray[np.float64], random: NDArray[np.float64], classes: NDArray[np.float64]
) -> list[SimulatedAccuracy]:
    """Summarise accuracies over seeds; values, random: (seeds, budgets)."""
    return [
        SimulatedAccuracy(
            n, round(float(values[:, at].mean()), 6), round(half_width(values[:, at]), 6),
            round(float((values - random)[:, at].mean()), 6), round(half_width((values - random)[:, at]), 6), round(float(classes[at]), 2),
        )
        for at, n in enumerate(budgets)
    ]  # fmt: skip


def savings(
    budgets: Sequence[int], values: NDArray[np.floating], fine: Sequence[int], curve: NDArray[np.floating]
) -> dict[str, float]:
    """Say how many labels random choice needs for each accuracy, as a multiple of the labels used; by number of labels.

    values: (budgets,), accuracies; curve: (fine,), those of random choice, ascending. Between its points the logarithm of the number is
    interpolated. Beyond them the saving is at least what is given.
    """
    needed = np.exp(np.interp(values, curve, np.log(fine)))
    return {str(n): round(float(labels / n), 3) for n, labels in zip(budgets, needed, strict=True)}


@dataclass(frozen=True)
class Game:
    """One seed: what can be labelled, and what is predicted."""

    pool: Pool
    codes: Ints  # (U,): the true classes of the candidates
    test: NDArray[np.float32]  # (T, D)
    test_codes: Ints

    @classmethod
    def of(cls, labelled: LabelledItems, losses: NDArray[np.float32] | None, seed: int) -> "Game":
        """Draw the candidates of a seed, without copies of one another or of what is predicted."""
        generator = np.random.default_rng(seed)
        test = _held_out(labelled, seed)
        places = _to_choose_from(labelled, seed)
        drawn = np.sort(generator.permutation(places)[: _size(len(places))])
        x = labelled.vectors(np.isin(np.arange(len(test)), drawn))
        references = generator.permutation(len(x))[:REFERENCES]
        own = None if losses is None else losses[drawn][references]
        pool = Pool.of(Space(x, x[references]), x[:0], np.empty(0, np.int64), own)
        return cls(pool, labelled.codes[drawn], labelled.vectors(test), labelled.codes[test])

    def play(self, strategy: str, budgets: Sequence[int], seed: int) -> Iterator[tuple[float, int]]:
        """Label with a strategy; gives the accuracy, and the number of classes that are known, at each budget."""
        pool, generator = self.pool, np.random.default_rng([seed, 1])
        for budget in budgets:
            while len(pool.labelled.codes) < budget:
                chosen, _ = choose(pool, strategy, min(BATCH, budget - len(pool.labelled.codes)), generator)
                pool = pool.after(chosen, self.codes[chosen])
            labelled = pool.labelled
            known = len(np.unique(labelled.codes))
            predicted = ridge(labelled.x, labelled.codes, self.test) if known > 1 else labelled.codes[:1]
            yield float((predicted == self.test_codes).mean()), known


def _firsts(contents: Ints) -> Ints:
    """Give the places of the first item of each content; -1 is a content of its own."""
    own = np.where(contents < 0, -1 - np.arange(len(contents)), contents)
    return np.sort(np.unique(own, return_index=True)[1])
