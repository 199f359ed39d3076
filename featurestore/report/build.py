"""Building a report: each part is computed from the vectors, labels and files of a store, or the reason is noted why it cannot be."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from featurestore import curation
from featurestore.ann.faiss_index import floats
from featurestore.catalog import Catalog
from featurestore.curation import CoverageReport, DuplicatesReport, LeaksReport
from featurestore.curation.duplicates import duplicates_among
from featurestore.curation.find import known_pairs
from featurestore.curation.leaks import leaks_among, split_names
from featurestore.errors import ConfigError, EvaluationError, StoreCorrupt
from featurestore.estimators.few_shot import NEEDS_SKLEARN
from featurestore.evaluation import LowShotReport, measure_knn, measure_lowshot
from featurestore.evaluation.knn import TEMPERATURE
from featurestore.evaluation.lowshot import MEASURED, SHOTS, TRIES, possible_shots
from featurestore.evaluation.same_pictures import known_leaks
from featurestore.metrics.label_free import rankme, sample, uniformity
from featurestore.progress import Listener
from featurestore.report.baselines import measure_baselines
from featurestore.report.confusion import shown_classes
from featurestore.report.examples import best_and_worst, items_at, sheets
from featurestore.report.likeness import by_likeness, class_means
from featurestore.report.projection import check_method, default_method, project
from featurestore.report.report import Report
from featurestore.report.training import read_training
from featurestore.report.values import Baseline, Collection, LabelFree, Map, ReportValues, Sizes
from featurestore.storage import ItemVectors, LabelledItems, Storage
from featurestore.system.packages import require
from featurestore.version import __version__

SAMPLED = 4_096  # items that measures without labels are computed from
BARS = 24  # of the histogram of sizes
CARD_KEYS = ("method", "backbone", "branch", "trained_on", "preprocess", "featurestore_version")

Part = TypeVar("Part")


@dataclass(frozen=True, slots=True)
class Limits:
    """How much a report computes and shows."""

    mosaic: int = 48  # pictures
    findings: int = (
        12  # clusters, outliers, suspects, groups of copies, pairs across splits, items far from a labelled one
    )
    map: int = 2_000  # items, each with a small picture
    tries: int = TRIES  # draws of few labels


def build(
    store: Storage,
    encoder: str | Path | None = None,
    run: str | Path | None = None,
    map: str | None = None,
    seed: int = 0,
    listener: Listener | None = None,
    limits: Limits = Limits(),
    where: str | None = None,
) -> Report:
    """Compute the report of one encoder. A part that cannot be computed is None, with the reason.

    run: folder of the training run, for its curves. map: how to lay it out: pca, tsne (needs scikit-learn) or umap (needs umap-learn);
    None is tsne where scikit-learn is installed, otherwise pca. where: only items for which this SQL expression is true. Raises ConfigError
    when the run is not one or the map cannot be made; QueryError.
    """
    method = default_method() if map is None else map
    check_method(method)
    listener = listener or Listener()
    view = store.view(encoder, where)
    record = view.items.encoder
    training = None if run is None else read_training(Path(run), record.fingerprint)
    missing: dict[str, str] = {}

    def part(name: str, compute: Callable[[], Part]) -> Part | None:
        listener.start(name.replace("_", " "), None)
        try:
            return compute()
        except (
            ConfigError,
            EvaluationError,
            StoreCorrupt,
        ) as error:  # damaged vectors, or a package that is not installed, spoil some parts, not all
            missing[name] = str(error)
            return None

    collection = _collection(store.catalog, view, where, seed, limits)
    labelled = part("labels", lambda: store.labelled_among(view, where))
    knn = classes = lowshot = None
    baselines: tuple[Baseline, ...] | None = None
    order: tuple[str, ...] = ()
    if labelled is not None:
        knn = part("knn", lambda: measure_knn(labelled, None, TEMPERATURE, known_leaks(store, labelled)))
        lowshot = part("lowshot", lambda: _lowshot(labelled, seed, limits.tries, listener))
    if labelled is not None and knn is not None:
        classes = part("classes", lambda: best_and_worst(view, labelled, knn, seed))
    if labelled is not None and knn is not None and knn.classes:  # images with several labels have no single classes
        baselines = part("baselines", lambda: measure_baselines(store, labelled, knn))
        shown = shown_classes(knn.confusion)
        order = by_likeness(shown, class_means(labelled, shown, seed))
    most, name = limits.findings, record.fingerprint
    label_errors = None
    if labelled is not None:
        label_errors = part("label_errors", lambda: curation.label_errors(store, name, most, listener, where))
    duplicates, leaks = part("copies", lambda: _copies(store, view, most)) or (None, None)
    return Report(ReportValues(
        store.path.resolve().name, datetime.now().astimezone().isoformat(timespec="seconds"), __version__, seed, where, _encoder(view), collection,
        part("neighbours", lambda: sheets(view, seed)) or (), knn, baselines or (), classes, order, lowshot, part("labelfree", lambda: _label_free(view, seed)),
        part("map", lambda: _map(view, method, seed, limits.map)),
        part("clusters", lambda: curation.clusters(store, None, name, where, seed, listener).first(most)),
        part("outliers", lambda: curation.outliers(store, name, most, listener, where)), label_errors, duplicates, leaks,
        part("coverage", lambda: _coverage(store, view, where, most, listener)), training, missing,
    ))  # fmt: skip


def _copies(store: Storage, view: ItemVectors, most: int) -> tuple[DuplicatesReport | None, LeaksReport | None]:
    """Give the first copies and leaks among the items of a view, where the store has kept the pairs: a report compares no pictures."""
    found = known_pairs(store, view)
    if found is None:
        return None, None
    leaks = leaks_among(found).first(most) if len(split_names(found.contents.view.items)) > 1 else None
    return duplicates_among(store, found).first(most), leaks


def _coverage(
    store: Storage, view: ItemVectors, where: str | None, most: int, listener: Listener
) -> CoverageReport | None:
    """Measure how well the labels cover the rest; None where all items are labelled, or none."""
    unlabelled = _unlabelled(view)
    if unlabelled.all() or not unlabelled.any():
        return None
    return curation.coverage(store, view.items.encoder.fingerprint, where, listener).first(most)


def _unlabelled(view: ItemVectors) -> NDArray[np.bool_]:
    """Say which items have no label, (N,)."""
    one, several = (
        column.is_null().to_numpy(zero_copy_only=False) for column in (view.items.labels, view.items.label_lists)
    )
    return np.asarray(one & several)


def _lowshot(labelled: LabelledItems, seed: int, tries: int, listener: Listener) -> LowShotReport:
    """Measure few labels per class, with all methods whose packages are installed."""
    shots = possible_shots(SHOTS, labelled.codes[labelled.train], labelled.leave_one_out)
    if not shots:
        raise EvaluationError("every class has one label, so no labelled image is left to be classified")
    try:
        require("sklearn", extra="eval")
        methods = list(MEASURED)
    except ConfigError:
        methods = [method for method in MEASURED if method not in NEEDS_SKLEARN]
    return measure_lowshot(labelled, shots, (), tries, methods, seed, listener)


def _encoder(view: ItemVectors) -> dict[str, Any]:
    record = view.items.encoder
    card = {key: record.card[key] for key in CARD_KEYS}
    return {"name": record.name, "fingerprint": record.fingerprint, "dim": record.dim, **card}


def _collection(catalog: Catalog, view: ItemVectors, where: str | None, seed: int, limits: Limits) -> Collection:
    """Count the items that match `where`. Files that failed and removed items are no items, so they do not match."""
    counts = catalog.items.counts(None if where is None else catalog.items.select(where))
    if where is not None:
        counts |= {"removed": 0, "failures": 0}
    reasons = Counter(reason for _, reason, _ in catalog.items.failures() if where is None)
    drawn = np.random.default_rng(seed).permutation(sample(len(view.items.ids), limits.mosaic, seed))
    return Collection(
        counts["items"], catalog.items.count(), counts["labelled"], counts["removed"], counts["failures"], dict(reasons.most_common()), counts["splits"],
        counts["labels"], len(view.items.ids), _sizes(catalog, view), items_at(view, drawn),
    )  # fmt: skip


def _sizes(catalog: Catalog, view: ItemVectors) -> Sizes | None:
    """Summarise the sizes that images had when they were encoded; None when the catalog does not know them."""
    spool = catalog.encoded.details(view.items.encoder.fingerprint).rows  # its file is deleted with the object
    details = spool.reader().read_all().select(["rowid", "width", "height"])
    table = details.filter(np.isin(details["rowid"], view.items.rows)).select(["width", "height"]).drop_null()
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


def _label_free(view: ItemVectors, seed: int) -> LabelFree:
    drawn = floats(view.vectors[view.items.rows[sample(len(view.items.rows), SAMPLED, seed)]])
    return LabelFree(len(drawn), rankme(drawn), uniformity(drawn))


def _map(view: ItemVectors, method: str, seed: int, most: int) -> Map:
    """Project some items, in random order, so that where marks overlap no class is always on top; those without labels are below."""
    n = len(view.items.rows)
    drawn = np.random.default_rng(seed).permutation(sample(n, most, seed))
    drawn = drawn[np.argsort(~_unlabelled(view)[drawn], kind="stable")]
    return Map(project(floats(view.vectors[view.items.rows[drawn]]), method, seed), items_at(view, drawn), n)
