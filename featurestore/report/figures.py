"""What a report says, as plain values: gathered once, written in any form."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from featurestore.evaluation import LowShotReport
from featurestore.evaluation.knn import KnnReport
from featurestore.metrics.confusion import ClassFigures
from featurestore.report.projection import Layout
from featurestore.report.training import Training


@dataclass(frozen=True, slots=True)
class Item:
    """An item that a report shows."""

    id: int
    path: str
    label: str | None


@dataclass(frozen=True, slots=True)
class Neighbour:
    """An item near another one."""

    item: Item
    score: float


@dataclass(frozen=True, slots=True)
class Sheet:
    """An item and its nearest others, best first."""

    query: Item
    neighbours: tuple[Neighbour, ...]


@dataclass(frozen=True, slots=True)
class Example:
    """An item whose class was asked for, what its neighbours said, and the nearest of these."""

    item: Item
    said: str
    neighbours: tuple[Neighbour, ...]


@dataclass(frozen=True, slots=True)
class ClassExamples:
    """A class by its items: some that were named right, and some that were taken for others."""

    figures: ClassFigures
    right: tuple[Example, ...]
    wrong: tuple[Example, ...]


@dataclass(frozen=True, slots=True)
class Sizes:
    """How large the images of a collection are, in pixels; `counts` lie between each two of `edges`, by the longer side."""

    smallest: tuple[int, int]  # width, height
    median: int  # of the longer side
    largest: tuple[int, int]
    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Collection:
    """A store at a glance; counts are items."""

    items: int
    labelled: int
    removed: int
    failures: int
    reasons: dict[str, int]  # why files could not be used, the commonest first
    splits: dict[str, int]
    labels: dict[str, int]
    vectors: int  # items that the encoder has seen
    sizes: Sizes | None
    mosaic: tuple[Item, ...]  # drawn at random


@dataclass(frozen=True, slots=True)
class Classes:
    """The classes that neighbours name best and worst: by recall, votes of k at temperature T."""

    k: int
    temperature: float
    best: tuple[ClassExamples, ...]
    worst: tuple[ClassExamples, ...]


@dataclass(frozen=True, slots=True)
class Map:
    """Items on a plane, drawn at random where there are many."""

    layout: Layout
    items: tuple[Item, ...]  # n, as the places of the layout
    of: int  # items it was drawn from


@dataclass(frozen=True, slots=True)
class LabelFree:
    """Figures that need no labels, of n items drawn at random."""

    n: int
    rankme: float  # effective dimensions
    uniformity: float


@dataclass(frozen=True)
class Figures:
    """All that a report says of one encoder's view of a store. A part that could not be had is None, and `missing` says why."""

    store: str  # name of its folder
    made_at: str  # ISO 8601
    version: str  # of featurestore
    seed: int
    encoder: dict[str, Any]
    collection: Collection
    sheets: tuple[Sheet, ...]
    knn: KnnReport | None
    classes: Classes | None
    lowshot: LowShotReport | None
    labelfree: LabelFree | None
    map: Map | None
    training: Training | None
    missing: dict[str, str]

    @property
    def title(self) -> str:
        return self.store.removesuffix(".store") or self.store

    def to_json(self) -> dict[str, Any]:
        """All figures, with the items they are of; pictures are left out. The keys are told in docs/reference/json.md."""
        parts = {
            "store": self.store, "made_at": self.made_at, "version": self.version, "seed": self.seed, "encoder": self.encoder,
            "collection": asdict(self.collection), "neighbours": [asdict(sheet) for sheet in self.sheets],
        }  # fmt: skip
        return parts | {
            "knn": self.knn and self.knn.to_json(),
            "classes": self.classes and asdict(self.classes),
            "lowshot": self.lowshot and self.lowshot.to_json(),
            "labelfree": self.labelfree and asdict(self.labelfree),
            "map": self.map and _map_as_json(self.map),
            "training": self.training and asdict(self.training),
            "missing": self.missing,
        }


def _map_as_json(found: Map) -> dict[str, Any]:
    places = found.layout.places.tolist()
    points = [
        {"id": item.id, "label": item.label, "x": x, "y": y} for item, (x, y) in zip(found.items, places, strict=True)
    ]
    layout = {"method": found.layout.method, "settings": found.layout.settings, "axes": found.layout.axes}
    return {**layout, "of": found.of, "points": points}
