"""What a comparison of encoders says: a row for each, differences from the first, and a verdict in words."""

from dataclasses import asdict, dataclass
from typing import Any

from featurestore.metrics.paired import Difference, ItemDifference


@dataclass(frozen=True, slots=True)
class Figure:
    """A share of right answers, and by how much it is above that of the first encoder."""

    top1: float
    difference: Difference | None  # None: this is the first encoder


@dataclass(frozen=True, slots=True)
class ComparedEncoder:
    """The figures of one encoder; those that need labels are None, or missing, without any."""

    store: str
    name: str
    encoder: str  # fingerprint
    dim: int
    method: str
    backbone: str
    knn: Figure | None
    linear: Figure | None  # None also where it was not measured
    c: float | None  # that the linear classifier took; of several folds the middle one
    lowshot: dict[int, Figure]  # by labels a class: the mean over the draws
    rankme: float
    uniformity: float
    neighbour_agreement: float  # with the first encoder

    def figures(self) -> dict[str, Figure]:
        """Those that need labels, by what they are called."""
        few = {f"{shots} label{'s' if shots > 1 else ''} a class": figure for shots, figure in self.lowshot.items()}
        found = {"k-NN": self.knn, "linear": self.linear, **few}
        return {name: figure for name, figure in found.items() if figure is not None}

    def to_json(self) -> dict[str, Any]:
        lowshot = [
            {"shots": shots, "method": "nearest-mean", "top1_mean": figure.top1, "difference": _json(figure.difference)}
            for shots, figure in self.lowshot.items()
        ]
        knn, linear = (
            None if figure is None else {"top1": figure.top1, "difference": _json(figure.difference)}
            for figure in (self.knn, self.linear)
        )
        return {
            "store": self.store, "name": self.name, "encoder": self.encoder, "dim": self.dim, "method": self.method, "backbone": self.backbone,
            "knn": knn, "linear": None if linear is None else {"c": self.c, **linear}, "lowshot": lowshot, "rankme": self.rankme,
            "uniformity": self.uniformity, "neighbour_agreement": self.neighbour_agreement,
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Comparison:
    """The same items through several encoders, with everything needed to repeat it."""

    rows: list[ComparedEncoder]  # the first is what the others are compared with
    items: int  # that all have
    left_out: int  # that some have and others lack
    otherwise: int  # of `items`, those that another store labels or splits otherwise; the first store's labels count
    split: str | None  # "train->test" or "leave-one-out", of k-NN; None: no labels
    linear_split: str | None  # "train->test" or "cross-validation"; None: not measured
    lowshot_split: str | None  # "train->test" or "drawn->rest"
    n_train: int
    n_test: int
    classes: int
    unseen: list[str]  # classes that are asked for and no item to learn from has
    k: int  # neighbours that vote, and whose agreement is measured
    temperature: float
    grid: int  # values of C that the linear classifier tried
    tries: int  # draws of few labels
    sampled: int  # items that the figures without labels are measured on
    seed: int

    @property
    def verdicts(self) -> list[str]:
        """What can be told, by k-NN and linear classification, of each encoder and the first."""
        names = self.names()
        return [
            _verdict(names[0], name, measure, figure.difference, self.n_test)
            for name, row in zip(names[1:], self.rows[1:], strict=True)
            for measure, figure in row.figures().items()
            if isinstance(figure.difference, ItemDifference)
        ]

    def names(self) -> list[str]:
        """What to call each row: the encoder, with its store where there are several."""
        several = len({row.store for row in self.rows}) > 1
        return [f"{row.store}:{row.name}" if several else row.name for row in self.rows]

    def to_json(self) -> dict[str, Any]:
        return {
            "protocol": "compare", "split": self.split, "linear_split": self.linear_split, "lowshot_split": self.lowshot_split, "items": self.items, "left_out": self.left_out,
            "labelled_otherwise": self.otherwise, "n_train": self.n_train, "n_test": self.n_test, "classes": self.classes, "unseen": self.unseen,
            "k": self.k, "temperature": self.temperature, "grid": self.grid, "tries": self.tries, "sampled": self.sampled, "seed": self.seed,
            "encoders": [row.to_json() for row in self.rows], "verdicts": self.verdicts,
        }  # fmt: skip


def points(difference: Difference) -> str:
    """A difference and its interval in hundredths: "+3.1 (+2.0 to +4.2)"."""
    low, high = difference.ci95
    return f"{100 * difference.mean:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"


def _verdict(first: str, other: str, measure: str, difference: ItemDifference, items: int) -> str:
    low, high = sorted(100 * abs(end) for end in difference.ci95)
    if not difference.told:
        span = " to ".join(f"{100 * end:+.1f}" for end in difference.ci95)
        return f"{measure}: no difference between {other} and {first} can be told from these {items:,} items ({span} points)"
    word = "better" if difference.mean > 0 else "worse"
    return f"{measure}: {other} is {word} than {first} by {100 * abs(difference.mean):.1f} points ({low:.1f} to {high:.1f})"


def _json(difference: Difference | None) -> dict[str, Any] | None:
    return None if difference is None else asdict(difference)
