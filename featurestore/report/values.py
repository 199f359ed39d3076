"""What a report says, as plain values: computed once, written as HTML, Markdown or JSON."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from featurestore.curation import (
    ClustersReport,
    CoverageReport,
    DuplicatesReport,
    LabelErrorsReport,
    LeaksReport,
    OutliersReport,
)
from featurestore.evaluation import LowShotReport
from featurestore.evaluation.knn import KnnReport
from featurestore.metrics.confusion import ClassFigures
from featurestore.metrics.statistics import ItemDifference
from featurestore.report.projection import MapLayout
from featurestore.report.training import Training

LEARNED_NOTHING = ("untrained", "pixels")  # methods of encoders that others are compared with
FOLDERS = 2  # of a path that the page shows before the file's name: whole paths may be private


@dataclass(frozen=True, slots=True)
class Item:
    """An item that a report shows."""

    id: int
    path: str
    label: str | None

    @property
    def short_path(self) -> str:
        """The end of the path."""
        return "/".join(self.path.split("/")[-1 - FOLDERS :])

    @property
    def caption(self) -> str:
        """The label, or the file's name where there is none."""
        return self.label or self.path.rpartition("/")[2]

    @property
    def description(self) -> str:
        """The label and the end of the path."""
        return f"{self.label}: {self.short_path}" if self.label else self.short_path


@dataclass(frozen=True, slots=True)
class Neighbour:
    """An item near another one."""

    item: Item
    score: float

    def differs_from(self, label: str | None) -> bool:
        """Whether both have a label, and not the same."""
        return None not in (label, self.item.label) and label != self.item.label


@dataclass(frozen=True, slots=True)
class Sheet:
    """An item and its nearest neighbours, best first."""

    query: Item
    neighbours: tuple[Neighbour, ...]


@dataclass(frozen=True, slots=True)
class Example:
    """A classified item: the label that its neighbours predicted, and the nearest of them."""

    item: Item
    predicted: str
    neighbours: tuple[Neighbour, ...]

    def to_json(self) -> dict[str, Any]:
        parts = asdict(self)
        return {"item": parts["item"], "said": self.predicted, "neighbours": parts["neighbours"]}


@dataclass(frozen=True, slots=True)
class ClassExamples:
    """A class by its items: some that were classified correctly, and some that were not."""

    figures: ClassFigures
    right: tuple[Example, ...]
    wrong: tuple[Example, ...]

    def to_json(self) -> dict[str, Any]:
        examples = {"right": [e.to_json() for e in self.right], "wrong": [e.to_json() for e in self.wrong]}
        return {"figures": asdict(self.figures), **examples}


@dataclass(frozen=True, slots=True)
class Sizes:
    """The sizes of a collection's images in pixels, with a histogram of the longer side: `counts` between each two `edges`."""

    smallest: tuple[int, int]  # width, height
    median: int  # of the longer side
    largest: tuple[int, int]
    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Collection:
    """A store at a glance; counts are items."""

    items: int
    of: int  # items of the store, from which the filter chose these
    labelled: int
    removed: int
    failures: int
    reasons: dict[str, int]  # why files could not be used, most frequent first
    splits: dict[str, int]
    labels: dict[str, int]
    vectors: int  # items with a vector of the encoder
    sizes: Sizes | None
    mosaic: tuple[Item, ...]  # drawn at random


@dataclass(frozen=True, slots=True)
class Classes:
    """The classes with the highest and the lowest recall of k-NN, with k votes at temperature T."""

    k: int
    temperature: float
    best: tuple[ClassExamples, ...]
    worst: tuple[ClassExamples, ...]

    def to_json(self) -> dict[str, Any]:
        shown = {"best": [c.to_json() for c in self.best], "worst": [c.to_json() for c in self.worst]}
        return {"k": self.k, "temperature": self.temperature, **shown}


@dataclass(frozen=True, slots=True)
class Baseline:
    """An encoder that has learned nothing, measured as the encoder of the report."""

    name: str
    method: str  # "untrained" or "pixels"
    top1: float
    top1_ci95: tuple[float, float]
    gain: ItemDifference  # top-1 of the report's encoder minus this


@dataclass(frozen=True, slots=True)
class Map:
    """Items on a plane, drawn at random where there are many."""

    layout: MapLayout
    items: tuple[Item, ...]  # n, in the order of the layout's points
    of: int  # items they were drawn from

    def to_json(self) -> dict[str, Any]:
        layout = {"method": self.layout.method, "settings": self.layout.settings, "axes": self.layout.axes}
        points = zip(self.items, self.layout.points.tolist(), strict=True)
        return {**layout, "of": self.of, "points": [{"id": i.id, "label": i.label, "x": x, "y": y} for i, (x, y) in points]}  # fmt: skip


@dataclass(frozen=True, slots=True)
class LabelFree:
    """Measures that need no labels, of n items drawn at random."""

    n: int
    rankme: float  # effective dimensions
    uniformity: float


@dataclass(frozen=True)
class ReportValues:
    """All values of a report on one encoder of a store. A part that cannot be computed is None, and `missing` says why."""

    store: str  # name of its folder
    made_at: str  # ISO 8601
    version: str  # of featurestore
    seed: int
    where: str | None  # what the items were chosen by
    encoder: dict[str, Any]
    collection: Collection
    sheets: tuple[Sheet, ...]
    knn: KnnReport | None
    baselines: tuple[Baseline, ...]
    classes: Classes | None
    class_order: tuple[str, ...]  # classes of the confusion matrix, those alike beside each other
    lowshot: LowShotReport | None
    labelfree: LabelFree | None
    map: Map | None
    clusters: ClustersReport | None  # the largest
    outliers: OutliersReport | None  # the oddest
    label_errors: LabelErrorsReport | None  # the surest
    duplicates: DuplicatesReport | None  # the surest; None where copies were not looked for
    leaks: LeaksReport | None  # likewise; None, too, where items are not in two splits
    coverage: CoverageReport | None  # with the farthest; None where all items are labelled, or none
    training: Training | None
    missing: dict[str, str]

    @property
    def title(self) -> str:
        return self.store.removesuffix(".store") or self.store

    @property
    def made(self) -> str:
        """The time it was made, to the minute."""
        return self.made_at[:16].replace("T", " ")

    def to_json(self) -> dict[str, Any]:
        """All figures with their items, without pictures. docs/reference/json.md describes the keys."""
        parts = {
            "store": self.store, "made_at": self.made_at, "version": self.version, "seed": self.seed, "where": self.where,
            "encoder": self.encoder, "collection": asdict(self.collection), "neighbours": [asdict(sheet) for sheet in self.sheets],
        }  # fmt: skip
        return parts | {
            "knn": self.knn and self.knn.to_json(),
            "baselines": [asdict(baseline) for baseline in self.baselines],
            "classes": self.classes and self.classes.to_json(),
            "class_order": list(self.class_order),
            "lowshot": self.lowshot and self.lowshot.to_json(),
            "labelfree": self.labelfree and asdict(self.labelfree),
            "map": self.map and self.map.to_json(),
            "clusters": self.clusters and self.clusters.to_json(),
            "outliers": self.outliers and self.outliers.to_json(),
            "label_errors": self.label_errors and self.label_errors.to_json(),
            "duplicates": self.duplicates and self.duplicates.to_json(),
            "leaks": self.leaks and self.leaks.to_json(),
            "coverage": self.coverage and self.coverage.to_json(),
            "training": self.training and asdict(self.training),
            "missing": self.missing,
        }
