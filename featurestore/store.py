"""FeatureStore: encoder, catalog, vectors and index, joined in one directory."""

from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurestore.ann.knn_graph import neighbours
from featurestore.catalog import no_such_encoder
from featurestore.classification.export import export_classifier
from featurestore.classification.predict import ApplyReport, apply_classifier, encoder_of, told
from featurestore.classification.train import ClassifierReport, check_classifier, train_classifier
from featurestore.encoders.encoder import Encoder
from featurestore.errors import (
    EncoderNotInStore,
    QueryError,
    StoreCorrupt,
)
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
from featurestore.ingest.ingest import Indexing, IndexReport, find_files
from featurestore.ingest.vectors_parquet import ImportReport, export_vectors, import_vectors, read_origin
from featurestore.maintenance.optimize import IndexWish, OptimizeReport, optimize, size
from featurestore.maintenance.verify import Verification, VerifyReport
from featurestore.metadata.columns import AnnotateReport, annotate
from featurestore.metadata.labels import LabelReport
from featurestore.metadata.labels import apply as apply_labels
from featurestore.progress import Listener
from featurestore.search.query import Example, Means, Query, Question, look, look_each
from featurestore.search.results import Matches, Neighbours
from featurestore.search.searcher import HITS, Hits, Sight, slowness
from featurestore.sources import Failure
from featurestore.sources.keyed_table import KeyedFile
from featurestore.sources.label_file import read_labels as read_labels
from featurestore.storage.snapshot import Moment
from featurestore.storage.storage import Storage

if TYPE_CHECKING:
    from featurestore.report.report import Report


class FeatureStore(Storage):
    """A directory of items, their vectors and labels. Make one with `FeatureStore.open`."""

    # -- index

    def index(
        self,
        *sources: str | Path,
        labels: str | Path | Literal["none", "folders"] = "none",
        workers: int | None = None,
        image_seconds: float = 30.0,
        listener: Listener | None = None,
    ) -> IndexReport:
        """Bring the store up to date with its sources: encode new and changed images, mark vanished ones as removed.

        labels: "folders" takes the parent folder as label and a top folder train, val or test as split; a CSV file is applied
        afterwards as by `label`; "none" leaves labels as they are. An image that takes longer than `image_seconds` to be read and
        decoded is a failure. Work is committed every few seconds, so that a stopped run
        goes on where it was. Raises SourceError when there is no image, DiskError, StoreBusy; Interrupted on Ctrl-C.
        """
        encoder = self._encoder_to_index_with()
        by_file = None if labels in ("none", "folders") else read_labels(labels)
        listener = listener or Listener()
        is_new = not (self.path / "catalog.duckdb").exists()
        found = find_files(sources, listener) if is_new else None  # a source without images creates nothing
        self.create()
        with self.writing():
            if found is None or self.catalog.encoders():  # only a list made under the lock tells what has vanished
                found = find_files(sources, listener)
            self.keep_encoder(encoder)
            report = Indexing(
                self.catalog, self.path / "vectors", encoder, labels == "folders", workers, image_seconds, listener
            ).run(found)
        if by_file is not None:
            self._apply_labels(by_file)
        return report

    def _encoder_to_index_with(self) -> Encoder:
        if self.given_encoder is not None:
            return self.given_encoder
        held = self.catalog.encoders()
        if len(held) != 1:
            raise no_such_encoder(None, held)
        return self.encoders.open(held[0])

    # -- search

    def search(
        self,
        queries: Query | Sequence[Query],
        k: int | None = None,
        where: str | None = None,
        exclude: Query | Sequence[Query] = (),
        weights: Sequence[float] | None = None,
        above: float | None = None,
        unique: float | None = None,
        exact: bool = False,
        encoder: str | Path | None = None,
    ) -> Matches:
        """Find the k items (default 10) nearest to a query: an image file or URL, a PIL image, an item id or a vector (D,).

        Several queries are examples of one thing, perhaps with `weights`; those of `exclude` are examples of what it is not; items
        named as examples are no hits. `where` is one SQL expression over the columns of `items`. above: only items with at least
        this score, and all of them when k is None. unique: of hits that have this score or more with each other only the best.
        exact: look at every vector, also when there is an index. Fewer than k hits come back only when fewer items match.
        Raises QueryError, ImageError, EncoderNotInStore.
        """
        if k is not None and k < 1:
            raise QueryError(f"k = {k}: expected at least 1")
        if above is not None and not -1 <= above <= 1:
            raise QueryError(f"above = {above}: expected a score, from -1 to 1")

        def answer(moment: Moment) -> Matches:
            sight = Sight.of(moment, self.encoder_record(encoder, moment), where, exact)
            question = look(queries, self._means(sight, encoder), exclude, weights)
            hits = sight.find(question.vector, k, question.left_out, above, unique)
            return _matches(sight, hits, question)

        return self.views.ask(answer)

    def search_many(
        self,
        queries: Sequence[Query | Example] | NDArray[np.floating],
        k: int = HITS,
        where: str | None = None,
        exact: bool = False,
        encoder: str | Path | None = None,
    ) -> list[Matches]:
        """Answer many queries, or the rows of an array (Q, D), each by itself, as `search` does."""
        if k < 1:
            raise QueryError(f"k = {k}: expected at least 1")

        def answer(moment: Moment) -> list[Matches]:
            sight = Sight.of(moment, self.encoder_record(encoder, moment), where, exact)
            questions = look_each(queries, self._means(sight, encoder))
            if not questions:
                return []
            most = max(len(question.left_out) for question in questions)
            found = sight.nearest(np.concatenate([question.vector for question in questions]), k + most)
            return [
                _matches(sight, hits.without(question.left_out).first(k), question)
                for hits, question in zip(found, questions, strict=True)
            ]

        return self.views.ask(answer)

    def _means(self, sight: Sight, named: str | Path | None) -> Means:
        file = Path(named) if named is not None and Path(named).is_file() else None
        return Means(
            sight.record.name, sight.record.dim, lambda: self.encoders.open(sight.record, file), sight.vectors_of
        )

    def slow(self) -> list[str]:
        """Say why searches are slower than they need to be, where `optimize` would help; nothing where it would not."""
        moment = self.views.now()
        return [reason for r in moment.encoders if (reason := slowness(r, moment.index(r))) is not None]

    def neighbours(
        self, k: int = 20, exact: bool = False, encoder: str | Path | None = None, listener: Listener | None = None
    ) -> Neighbours:
        """Find the k nearest items of every item, itself left out: the k-NN graph of the collection.

        exact: compare all with all, also when there is an index. Raises EvaluationError when there are no more than k items.
        """
        moment = self.views.now()
        sight = Sight.of(moment, self.encoder_record(encoder, moment), None, exact, read=True)
        items = moment.view(sight.record.fingerprint).items
        scores, places = neighbours(sight.vectors, sight.rows, k, sight.index, listener or Listener())
        return Neighbours(items.ids, items.ids[places], scores)

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
        from featurestore.report.build import build  # here, since most commands do without

        return build(self, encoder, run, map, seed, listener)

    def features(
        self, split: str | None = None, encoder: str | Path | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[Any]]:
        """Give ids (N,), vectors float32 (N, D) and labels (N,) (None where unlabelled), of one split or of all items."""
        view = self.view(encoder)
        splits, labels = (column.to_numpy(zero_copy_only=False) for column in (view.items.splits, view.items.labels))
        chosen = np.ones(len(splits), bool) if split is None else splits == split
        vectors = np.asarray(view.vectors[view.items.rows[chosen]], np.float32)
        return view.items.ids[chosen], vectors, labels[chosen]

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
            self.catalog.put_classifier(record)
        return report

    def apply_classifier(self, name: str, where: str | None = None, listener: Listener | None = None) -> ApplyReport:
        """Write what a classifier takes items for, and how sure it is, into columns NAME and NAME_confidence of `items`.

        Of all items that have a vector of its encoder, or of those for which `where` holds. Raises QueryError, EncoderNotInStore, StoreCorrupt.
        """
        with self.writing():
            return apply_classifier(self.catalog, self.views.now(), name, where, listener or Listener())

    def export_classifier(self, name: str, out: str | Path) -> int:
        """Join a classifier with its encoder into one ONNX file for `Classifier`, tried on images of the store; returns on how many.

        Raises QueryError, EncoderNotInStore, ConfigError when onnx is missing, ExportError, DiskError.
        """
        moment, record = self.views.now(), self.catalog.classifier(name)
        known = encoder_of(record, moment.encoders)
        return export_classifier(
            self.catalog, moment.view(known.fingerprint), self.encoders.open(known), record, Path(out)
        )

    def drop_classifier(self, name: str) -> tuple[str, ...]:
        """Forget a classifier; returns the columns that it filled, which stay. Raises QueryError when there is none of that name."""
        with self.writing():
            return self.catalog.drop_classifier(name)

    # -- catalog

    def sql(self, text: str, seconds: float = 30.0) -> pa.Table:
        """Run one read-only SQL statement over `items`, `vectors`, `encoders` and `failures`; raises QueryError."""
        return self.catalog.sql(text, seconds)

    def label(self, file: str | Path, key: str | None = None) -> LabelReport:
        """Set labels from a CSV or Parquet file with the columns path or id, label and perhaps split; an empty label takes it away.

        Paths are absolute, URLs, or relative to the file's folder or the current one. key: which of path and id to go by, when the
        file has both. Raises SourceError when the file is none, or is about no item.
        """
        return self._apply_labels(read_labels(file, key))

    def _apply_labels(self, given: KeyedFile) -> LabelReport:
        with self.writing():
            return apply_labels(self.catalog, given)

    def annotate(self, file: str | Path, key: str | None = None) -> AnnotateReport:
        """Make columns of a CSV or Parquet file columns of `items`, for `where` and `sql`; items without a row in it keep what they have.

        key: the column that says which items the rows are about, path (as in `label`) or id. Types are those of Parquet, or the
        narrowest that all values of a CSV column have; a missing value, and NaN, takes away what an item had. Raises SourceError
        when the file is none, is about no item, or has a column that is ours, nested, or of another type than the items have.
        """
        with self.writing():
            return annotate(self.catalog, Path(file), key)

    def drop_column(self, name: str) -> None:
        """Take away a column that `annotate` made. Raises QueryError when there is none of that name."""
        with self.writing():
            self.catalog.drop_column(name)

    def failures(self) -> list[Failure]:
        """Every file that could not be used, with its reason."""
        return [Failure(path, reason) for path, reason, _ in self.catalog.failures()]

    def info(self) -> dict[str, Any]:
        """Counts, labels, splits, encoders and sizes of the store."""
        moment = self.views.now()
        encoders = [
            {
                "name": r.name, "fingerprint": r.fingerprint, "dim": r.dim, "vectors": len(moment.view(r.fingerprint).items.rows), "rows": r.rows,
                "index": moment.told(r), **{key: r.card[key] for key in ("method", "backbone", "branch", "trained_on", "preprocess")},
            }
            for r in moment.encoders
        ]  # fmt: skip
        classifiers = [told(record) for record in self.catalog.classifiers()]
        return {
            "store": str(self.path), **self.catalog.counts(), "encoders": encoders, "classifiers": classifiers, "bytes": size(self.path),
        }  # fmt: skip

    # -- upkeep

    def delete(self, where: str, dry_run: bool = False, seconds: float = 30.0) -> int:
        """Forget the items for which `where` holds, with their labels and vectors; returns how many. Their files stay as they are.

        Items that vanished are looked at too, which `removed_at IS NOT NULL` tells. The next `index` of their source adds them again, as new items. Raises QueryError.
        """
        with nullcontext() if dry_run else self.writing():
            ids = self.catalog.choose(where, seconds, vanished=True)
            if len(ids) and not dry_run:
                self.catalog.delete(ids)
        return len(ids)

    def optimize(self, recall: float = 0.99, memory: int = 2 << 30, listener: Listener | None = None) -> OptimizeReport:
        """Rewrite the store without what nobody needs, rows of items that changed, vanished or were deleted, and index large collections.

        recall: of the 10 nearest, the share that searches by the index are to find at least. memory: bytes that building it may take.
        Raises StoreCorrupt when a vector file is damaged, StoreError when the memory is too small, DiskError when there is no
        room; then all is as before.
        """
        wish = IndexWish(recall, memory)
        with self.writing():
            return optimize(self.catalog, self.path, wish, listener or Listener())

    @classmethod
    def verify(cls, path: str | Path, repair: bool = False, listener: Listener | None = None) -> VerifyReport:
        """Read every byte of a store against its checksums; with `repair`, put right what can be, and move aside what cannot.

        Raises StoreNotFound, StoreBusy, DiskError.
        """
        try:
            store = cls.open(path)
        except StoreCorrupt:
            store = cls(Path(path), None, "cpu")
        with store.writing() if repair else nullcontext():
            return Verification(store.catalog, store.path, store.encoders, listener or Listener(), repair).run()

    def export_vectors(
        self, out: str | Path, encoder: str | Path | None = None, listener: Listener | None = None
    ) -> int:
        """Write the items of an encoder with their vectors into a Parquet file; returns how many. Raises DiskError."""
        record = self.encoder_record(encoder, self.views.now())
        return export_vectors(
            self.catalog, self.path / "vectors", record.fingerprint, Path(out), listener or Listener()
        )

    def import_vectors(self, file: str | Path, listener: Listener | None = None) -> ImportReport:
        """Add the items and vectors of a file of `export_vectors`; paths that have a vector here keep theirs.

        The store must know the encoder that made them, or be opened with it. Raises SourceError, EncoderNotInStore.
        """
        origin = read_origin(Path(file))
        given = (
            self.given_encoder
            if self.given_encoder is not None and self.given_encoder.fingerprint == origin.fingerprint
            else None
        )
        if given is not None:
            self.create()
        elif origin.fingerprint not in {r.fingerprint for r in self.catalog.encoders()}:
            raise EncoderNotInStore(
                f"{file}: its vectors were made by {origin.name}, which this store does not know; give that file: --encoder encoder.onnx"
            )
        with self.writing():
            if given is not None:
                self.keep_encoder(given)
            [record] = [r for r in self.catalog.encoders() if r.fingerprint == origin.fingerprint]
            return import_vectors(self.catalog, self.path / "vectors", record, Path(file), listener or Listener())


def _matches(sight: Sight, hits: Hits, question: Question) -> Matches:
    return Matches(
        hits.ids, hits.scores.clip(-1, 1), hits.paths, hits.labels, query=question.shown, warnings=sight.warnings
    )
