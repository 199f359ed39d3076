"""The result of comparing encoders: a row for each, its differences from the first, and verdicts in words."""

from dataclasses import asdict, dataclass
from typing import Any

from featurestore.metrics.statistics import Difference, ItemDifference, sign_test

DECISIVE = 6  # items: with fewer, the sign test is never below 5 %, even when all are in favour of one encoder


@dataclass(frozen=True, slots=True)
class Figure:
    """An accuracy, and its difference from that of the first encoder."""

    top1: float
    difference: Difference | None  # None: this is the first encoder
    without_twins: float | None = None  # the accuracy without them; None: there are none, or not measured


@dataclass(frozen=True, slots=True)
class ComparedEncoder:
    """The figures of one encoder. Without labels, those that need labels are None or missing."""

    store: str
    name: str
    encoder: str  # fingerprint
    dim: int
    method: str
    backbone: str
    knn: Figure | None
    linear: Figure | None  # None also when it was not measured
    c: float | None  # the C of the linear classifier; with several folds the median
    lowshot: dict[int, Figure]  # by labels a class: the mean over the draws
    rankme: float
    uniformity: float
    neighbour_agreement: float  # with the first encoder

    def figures(self) -> dict[str, Figure]:
        """The figures that need labels, by name."""
        few = {f"{shots} label{'s' if shots > 1 else ''} a class": figure for shots, figure in self.lowshot.items()}
        found = {"k-NN": self.knn, "linear": self.linear, **few}
        return {name: figure for name, figure in found.items() if figure is not None}

    def to_json(self) -> dict[str, Any]:
        lowshot = [
            {"shots": shots, "method": "nearest-mean", "top1_mean": figure.top1, "difference": _json(figure.difference)}
            for shots, figure in self.lowshot.items()
        ]
        knn, linear = (
            None
            if figure is None
            else {"top1": figure.top1, "without_twins": figure.without_twins, "difference": _json(figure.difference)}
            for figure in (self.knn, self.linear)
        )
        return {
            "store": self.store, "name": self.name, "encoder": self.encoder, "dim": self.dim, "method": self.method, "backbone": self.backbone,
            "knn": knn, "linear": None if linear is None else {"c": self.c, **linear}, "lowshot": lowshot, "rankme": self.rankme,
            "uniformity": self.uniformity, "neighbour_agreement": self.neighbour_agreement,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Comparison:
    """Several encoders measured on the same items, with everything needed to repeat it."""

    rows: list[ComparedEncoder]  # the others are compared with the first
    items: int  # that all encoders have
    left_out: int  # that some have and others lack
    labelled_otherwise: (
        int  # of `items`, those with another label or split in another store; the first store's labels count
    )
    split: str | None  # "train->test" or "leave-one-out", of k-NN; None: no labels
    linear_split: str | None  # "train->test" or "cross-validation"; None: not measured
    lowshot_split: str | None  # "train->test" or "drawn->rest"
    n_train: int
    n_test: int
    classes: int
    unseen: list[str]  # classes of test items that no train item has
    k: int  # neighbours that vote, and whose agreement is measured
    temperature: float
    grid: int  # values of C that the linear classifier tried
    tries: int  # draws of few labels
    sampled: int  # items for the figures without labels
    seed: int
    twins: int  # test items with an exact copy among those they are predicted from
    where: str | None  # what the items were chosen by
    notes: list[str]

    @property
    def verdicts(self) -> list[str]:
        """One sentence for each encoder and measure: whether it differs significantly from the first, by k-NN and linear classification."""
        names = self.names()
        return [
            _verdict(names[0], name, measure, figure.difference, self.n_test)
            for name, row in zip(names[1:], self.rows[1:], strict=True)
            for measure, figure in row.figures().items()
            if isinstance(figure.difference, ItemDifference)
        ]

    def names(self) -> list[str]:
        """The name of each row: the encoder, with its store when there are several stores, and the start of its fingerprint where names are equal."""
        several = len({row.store for row in self.rows}) > 1
        names = [f"{row.store}:{row.name}" if several else row.name for row in self.rows]
        prints: dict[str, set[str]] = {}
        for row in self.rows:
            prints.setdefault(row.name, set()).add(row.encoder)
        return [
            f"{name} ({row.encoder[:8]})" if len(prints[row.name]) > 1 else name
            for name, row in zip(names, self.rows, strict=True)
        ]

    def to_json(self) -> dict[str, Any]:
        return {
            "protocol": "compare", "split": self.split, "linear_split": self.linear_split, "lowshot_split": self.lowshot_split, "items": self.items, "left_out": self.left_out,
            "labelled_otherwise": self.labelled_otherwise, "n_train": self.n_train, "n_test": self.n_test, "classes": self.classes, "unseen": self.unseen,
            "k": self.k, "temperature": self.temperature, "grid": self.grid, "tries": self.tries, "sampled": self.sampled, "seed": self.seed,
            "twins": self.twins, "where": self.where, "notes": self.notes, "encoders": [row.to_json() for row in self.rows], "verdicts": self.verdicts,
        }  # fmt: skip


def points(difference: Difference) -> str:
    """Format a difference and its interval in percentage points: "+3.1 (+2.0 to +4.2)"."""
    low, high = difference.ci95
    return f"{100 * difference.mean:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"


def _verdict(first: str, other: str, measure: str, difference: ItemDifference, items: int) -> str:
    low, high = sorted(100 * abs(end) for end in difference.ci95)
    if items < DECISIVE:
        there = f"{items} item{'s are' if items != 1 else ' is'}"
        return f"{measure}: {there} too few to tell {other} from {first}; it takes {DECISIVE} or more"
    if not difference.significant:
        span = " to ".join(f"{100 * end:+.1f}" for end in difference.ci95)
        doubt = ""
        if not difference.ci95[0] <= 0 <= difference.ci95[1]:
            chance = float(sign_test(difference.only_first, difference.only_second))
            doubt = f"; the sign test disagrees with this interval, p = {chance:.2g}"
        return f"{measure}: {other} and {first} do not differ significantly on these {items:,} items ({span} points{doubt})"
    word = "better" if difference.mean > 0 else "worse"
    return f"{measure}: {other} is {word} than {first} by {100 * abs(difference.mean):.1f} points ({low:.1f} to {high:.1f})"


def _json(difference: Difference | None) -> dict[str, Any] | None:
    return None if difference is None else asdict(difference)
