"""FeatureStore: the store as users see it. Each method is a function of the room that its import names."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pyarrow as pa

from featurestore.classification.export import export
from featurestore.classification.predict import ApplyReport, apply_classifier
from featurestore.classification.train import ClassifierReport, check_classifier, train_classifier
from featurestore.evaluation import (
    EpisodesReport,
    LinearReport,
    LowShotReport,
    RetrievalReport,
    measure_episodes,
    measure_knn,
    measure_linear,
    measure_lowshot,
    measure_retrieval,
)
from featurestore.evaluation.knn import KnnReport
from featurestore.evaluation.linear import GRID
from featurestore.evaluation.lowshot import MEASURED, TRIES
from featurestore.ingest import export_vectors, import_vectors
from featurestore.ingest.run import ingest
from featurestore.maintenance import delete, optimize
from featurestore.maintenance.verification import verify_path
from featurestore.metadata import annotate, drop_column, label
from featurestore.progress import Listener
from featurestore.search.search import features, neighbours, search, search_many, slow
from featurestore.sources import Failure
from featurestore.storage import Storage
from featurestore.storage.info import info

if TYPE_CHECKING:
    from featurestore.report.writing import Report


class FeatureStore(Storage):
    """A directory of items, their vectors and labels. Make one with `FeatureStore.open`."""

    index = ingest
    search = search
    search_many = search_many
    neighbours = neighbours
    features = features
    label = label
    annotate = annotate
    drop_column = drop_column
    delete = delete
    info = info

    def sql(self, text: str, seconds: float = 30.0) -> pa.Table:
        """Run one read-only SQL statement over `items`, `vectors`, `encoders` and `failures`. Raises QueryError."""
        return self.catalog.sql(text, seconds)

    def failures(self) -> list[Failure]:
        """List every file that could not be used, with the reason."""
        return [Failure(path, reason) for path, reason, _ in self.catalog.items.failures()]

    # The rest are functions of the rooms; these names are kept for code that calls them on a store.
    slow = slow
    optimize = optimize
    verify = staticmethod(verify_path)
    export_vectors = export_vectors
    import_vectors = import_vectors
    export_classifier = export

    # -- measures

    def knn(
        self,
        k: int | Sequence[int] | None = None,
        temperature: float = 0.07,
        encoder: str | Path | None = None,
        seed: int = 0,
    ) -> KnnReport:
        """Measure k-NN classification by the store's labels: split test against train when both are there, else leave-one-out.

        k: how many neighbours vote; None is 10, 20, 100 and 200, as far as there are so many, and 200 at T = 0.1. Raises EvaluationError
        when there are no labels of two classes, or k is larger than the labelled items to compare with.
        """
        return measure_knn(self.labelled_items(encoder), [k] if isinstance(k, int) else k, temperature, seed)

    def linear(
        self, grid: int = GRID, encoder: str | Path | None = None, seed: int = 0, listener: Listener | None = None
    ) -> LinearReport:
        """Measure logistic regression on the vectors by the store's labels: split test against train, else by cross-validation.

        grid: how many values of C are tried; 45 are those of DINOv2. Needs scikit-learn. Raises EvaluationError, ConfigError.
        """
        return measure_linear(self.labelled_items(encoder), grid, seed, listener or Listener())

    def lowshot(
        self,
        shots: Sequence[int] | None = None,
        fractions: Sequence[float] | None = None,
        tries: int = TRIES,
        methods: Sequence[str] = MEASURED,
        encoder: str | Path | None = None,
        seed: int = 0,
        listener: Listener | None = None,
    ) -> LowShotReport:
        """Measure how well a few labels, drawn `tries` times, name the rest: split test, or else what was not drawn.

        shots: labels a class; fractions: shares of all labels; with neither, 1, 2, 5 and 10, as far as every class has so many, and 1 % and
        10 %. methods: some of nearest-mean, knn, logistic, ridge, nearest-neighbour. Raises EvaluationError, ConfigError without scikit-learn.
        """
        return measure_lowshot(
            self.labelled_items(encoder), shots, fractions, tries, methods, seed, listener or Listener()
        )

    def episodes(
        self,
        way: int = 5,
        shots: Sequence[int] = (1, 5),
        queries: int = 15,
        count: int = 600,
        encoder: str | Path | None = None,
        seed: int = 0,
        listener: Listener | None = None,
    ) -> EpisodesReport:
        """Measure episodes: `way` classes by `shots` labels of each, that name `queries` more of each, `count` times; raises EvaluationError."""
        return measure_episodes(self.labelled_items(encoder), way, shots, queries, count, seed, listener or Listener())

    def retrieval(
        self, k: Sequence[int] | None = None, encoder: str | Path | None = None, listener: Listener | None = None
    ) -> RetrievalReport:
        """Measure whether what has a query's label comes first: mean average precision, recall@k and precision@k.

        Items of split test ask for those of train, or each for all others. k: None is 1, 5 and 10, as far as there are so many. Raises EvaluationError.
        """
        return measure_retrieval(self.labelled_items(encoder), k, listener or Listener())

    def report(
        self,
        encoder: str | Path | None = None,
        run: str | Path | None = None,
        map: str = "pca",
        seed: int = 0,
        listener: Listener | None = None,
    ) -> "Report":
        """Gather what a report shows, to be written by its `save`; parts that need labels are missing where there are none.

        run: folder of the training run, for its curves. map: how to lay it out: pca, tsne (needs scikit-learn) or umap (needs umap-learn).
        Raises ConfigError when the run is none or the map cannot be made.
        """
        from featurestore.report.gather import Wish, gather  # here, since most commands do without
        from featurestore.report.writing import Report

        wish = Wish(None if run is None else Path(run), seed, map)
        return Report(gather(self.path, self.catalog, self.view(encoder), wish, listener or Listener()))

    # -- classifiers

    def train_classifier(
        self,
        name: str,
        method: str = "logistic",
        encoder: str | Path | None = None,
        seed: int = 0,
        listener: Listener | None = None,
    ) -> ClassifierReport:
        """Train a classifier on labelled items, those of split train when test has some too, and keep it in the place of one of that name.

        method: logistic, nearest-mean or ridge. Raises ConfigError, QueryError when the columns it would fill are taken, and
        EvaluationError when there are no labels, all are of one class, or no class has two.
        """
        check_classifier(self.catalog, name, method)
        record, report = train_classifier(self.labelled_items(encoder), name, method, seed, listener or Listener())
        with self.writing():
            self.catalog.classifiers.put(record)
        return report

    def apply_classifier(self, name: str, where: str | None = None, listener: Listener | None = None) -> ApplyReport:
        """Write what a classifier takes items for, and how sure it is, into columns NAME and NAME_confidence of `items`.

        Of all items that have a vector of its encoder, or of those for which `where` holds. Raises QueryError, EncoderNotInStore, StoreCorrupt.
        """
        with self.writing():
            return apply_classifier(self.catalog, self.snapshots.now(), name, where, listener or Listener())

    def drop_classifier(self, name: str) -> tuple[str, ...]:
        """Forget a classifier; returns the columns that it filled, which stay. Raises QueryError when there is none of that name."""
        with self.writing():
            return self.catalog.classifiers.drop(name)
