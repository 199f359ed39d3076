"""Gathering a report: each part from the vectors, labels and files of a store, or the reason why it cannot be had."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from featurestore.ann.faiss_index import floats
from featurestore.catalog import Catalog
from featurestore.errors import ConfigError, EvaluationError, StoreCorrupt
from featurestore.estimators.few_shot import NEEDS_SKLEARN
from featurestore.evaluation import LowShotReport, measure_knn, measure_lowshot
from featurestore.evaluation.knn import TEMPERATURE
from featurestore.evaluation.lowshot import MEASURED, SHOTS, TRIES, possible_shots
from featurestore.metrics.label_free import rankme, sample, uniformity
from featurestore.progress import Listener
from featurestore.report.examples import best_and_worst, items_at, sheets
from featurestore.report.figures import Collection, Figures, LabelFree, Map, Sizes
from featurestore.report.projection import check_method, lay_out
from featurestore.report.training import read_training
from featurestore.storage.labelled_items import LabelledItems
from featurestore.storage.snapshot import ItemVectors
from featurestore.system.packages import need
from featurestore.version import __version__

MOSAIC = 48  # pictures
MAPPED = 2_000  # items on the map at most: as many pictures come with it
SAMPLED = 4_096  # items that figures without labels are taken of
BARS = 24  # of the histogram of sizes

Part = TypeVar("Part")


@dataclass(frozen=True, slots=True)
class Wish:
    """What a report is to hold beside what every one holds."""

    run: Path | None  # folder of the training run
    seed: int
    map: str  # how to lay it out


def gather(store: Path, catalog: Catalog, view: ItemVectors, wish: Wish, listener: Listener) -> Figures:
    """Compute all parts of the report of one encoder. A part that cannot be had is None, with the reason in words.

    Raises ConfigError when the map cannot be made as wished, or the run is none.
    """
    check_method(wish.map)
    missing: dict[str, str] = {}
    record, seed = view.items.encoder, wish.seed
    training = None if wish.run is None else read_training(wish.run, record.fingerprint)

    def part(name: str, make: Callable[[], Part]) -> Part | None:
        listener.start(name, None)
        try:
            return make()
        except (EvaluationError, StoreCorrupt) as error:  # damaged vectors spoil some parts, not all
            missing[name] = str(error)
            return None

    collection = _collection(catalog, view, seed)
    labelled = part("labels", lambda: LabelledItems.of(view))
    knn = classes = lowshot = None
    if labelled is not None:
        knn = part("knn", lambda: measure_knn(labelled, None, TEMPERATURE, seed))
        lowshot = part("lowshot", lambda: _lowshot(labelled, seed, listener))
    if labelled is not None and knn is not None:
        classes = part("classes", lambda: best_and_worst(view, labelled, knn, seed))
    return Figures(
        store.resolve().name, datetime.now().astimezone().isoformat(timespec="seconds"), __version__, seed, _encoder(view), collection,
        part("neighbours", lambda: sheets(view, seed)) or (), knn, classes, lowshot, part("labelfree", lambda: _labelfree(view, seed)),
        part("map", lambda: _map(view, wish.map, seed)), training, missing,
    )  # fmt: skip


def _lowshot(labelled: LabelledItems, seed: int, listener: Listener) -> LowShotReport:
    """Few labels a class, by all methods that can be had without an installation."""
    shots = possible_shots(SHOTS, labelled.codes[labelled.train], labelled.leave_one_out)
    if not shots:
        raise EvaluationError("with one label a class, none of the labelled images is left to be named")
    try:
        need("sklearn", extra="eval")
        methods = list(MEASURED)
    except ConfigError:
        methods = [method for method in MEASURED if method not in NEEDS_SKLEARN]
    return measure_lowshot(labelled, shots, (), TRIES, methods, seed, listener)


def _encoder(view: ItemVectors) -> dict[str, Any]:
    record = view.items.encoder
    told = {
        key: record.card[key]
        for key in ("method", "backbone", "branch", "trained_on", "preprocess", "featurestore_version")
    }
    return {"name": record.name, "fingerprint": record.fingerprint, "dim": record.dim, **told}


def _collection(catalog: Catalog, view: ItemVectors, seed: int) -> Collection:
    counts = catalog.items.counts()
    reasons = Counter(reason for _, reason, _ in catalog.items.failures())
    drawn = np.random.default_rng(seed).permutation(sample(len(view.items.ids), MOSAIC, seed))
    return Collection(
        counts["items"], counts["labelled"], counts["removed"], counts["failures"], dict(reasons.most_common()), counts["splits"],
        counts["labels"], len(view.items.ids), _sizes(catalog, view.items.encoder.fingerprint), items_at(view, drawn),
    )  # fmt: skip


def _sizes(catalog: Catalog, encoder: str) -> Sizes | None:
    """How large the images are, as they were when they were encoded; None when that was not written down."""
    spool = catalog.items.details(encoder).rows  # gone with the object
    table = spool.reader().read_all().select(["width", "height"]).drop_null()
    width, height = (column.to_numpy().astype(np.int64) for column in table.columns)
    if not len(width):
        return None
    longer, area = np.maximum(width, height), width * height
    smallest, largest = int(area.argmin()), int(area.argmax())
    counts, edges = np.histogram(longer, bins=BARS)
    return Sizes(
        (int(width[smallest]), int(height[smallest])), int(np.median(longer)), (int(width[largest]), int(height[largest])),
        tuple(edges.tolist()), tuple(counts.tolist()),
    )  # fmt: skip


def _labelfree(view: ItemVectors, seed: int) -> LabelFree:
    drawn = floats(view.vectors[view.items.rows[sample(len(view.items.rows), SAMPLED, seed)]])
    return LabelFree(len(drawn), rankme(drawn), uniformity(drawn))


def _map(view: ItemVectors, method: str, seed: int) -> Map:
    """Lay some items out, in an order by chance: of marks that lie on one another, no class is always the upper one."""
    n = len(view.items.rows)
    drawn = np.random.default_rng(seed).permutation(sample(n, MAPPED, seed))
    return Map(lay_out(floats(view.vectors[view.items.rows[drawn]]), method, seed), items_at(view, drawn), n)
