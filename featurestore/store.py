"""FeatureStore: encoder, catalog, vectors and index, joined in one directory."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from featurestore import images, index, preprocess
from featurestore.catalog import PART, Catalog, EncoderRecord, no_such_encoder
from featurestore.catalog.schema import SCHEMA_VERSION
from featurestore.disk import sync_folder
from featurestore.encoder import Encoder, fingerprint
from featurestore.errors import (
    DiskError,
    EncoderNotInStore,
    EvaluationError,
    ImageError,
    QueryError,
    SourceError,
    StoreCorrupt,
    StoreError,
    StoreNotFound,
)
from featurestore.evaluation import knn
from featurestore.exchange import export_vectors, import_vectors, read_origin
from featurestore.indexing import Indexing, find_files
from featurestore.kept import KeptEncoders
from featurestore.labels import LabelFile
from featurestore.labels import read as read_labels
from featurestore.lock import only_writer
from featurestore.optimizing import optimize, size
from featurestore.progress import Listener
from featurestore.results import (
    ImportReport,
    IndexReport,
    KnnReport,
    LabelReport,
    Matches,
    OptimizeReport,
    VerifyReport,
)
from featurestore.sources import Failure, read
from featurestore.vectors import VectorFile, unit_rows
from featurestore.verifying import Verification
from featurestore.views import Moment, Views

STORE_PARTS = {
    "lock",
    "vectors",
    "encoders",
    "indexes",
    "damaged",
    PART,
    f"{PART}.wal",
}  # may lie in a store whose creation was cut off
Query = str | Path | int | Image.Image | NDArray[np.floating]


class FeatureStore:
    """A directory of items, their vectors and labels. Make one with `FeatureStore.open`."""

    def __init__(self, path: Path, encoder: Encoder | None, provider: str) -> None:
        self.path = path
        self._given = encoder
        self._catalog = Catalog(path / "catalog.duckdb")
        self._views = Views(self._catalog, path / "vectors")
        self._encoders = KeptEncoders(path / "encoders", provider, encoder)

    @classmethod
    def open(cls, path: str | Path, encoder: str | Path | None = None, provider: str = "cpu") -> "FeatureStore":
        """Open a store; with an encoder it may be absent, is created by the first `index`, and its calls use that encoder.

        provider: what encoders run on: cpu, cuda, coreml or openvino. A store of an older schema is brought up to date.
        Raises StoreNotFound, StoreError (a folder that is something else, or a newer store), StoreCorrupt, EncoderError.
        """
        path = Path(path)
        if not (path / "catalog.duckdb").exists():
            if any((path / "vectors").glob("*.f16")):
                raise StoreCorrupt(
                    f"{path / 'catalog.duckdb'} is missing, though the store holds vectors; put it back from a backup, or see: featurestore verify {path}"
                )
            if encoder is None:
                raise StoreNotFound(
                    f"no store at {str(path)!r}; create one: featurestore index {path} SOURCE --encoder encoder.onnx"
                )
            if path.exists() and (not path.is_dir() or any(p.name not in STORE_PARTS for p in path.iterdir())):
                raise StoreError(
                    f"{str(path)!r} exists and is no store; expected a store or a path where nothing is yet; the store comes before the sources"
                )
        store = cls(path, Encoder(encoder, provider=provider) if encoder is not None else None, provider)
        if (path / "catalog.duckdb").exists() and store._catalog.check() < SCHEMA_VERSION:
            store._migrate()
        return store

    def _migrate(self) -> None:
        """Bring the catalog to the present schema, with checksums of the vectors as they are."""

        with self._writing():
            if self._catalog.check() < SCHEMA_VERSION:  # no other process was quicker
                self._catalog.rewrite(lambda record: self._vector_file(record).seal(record.rows))

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
        self._create()
        with self._writing():
            if found is None or self._catalog.encoders():  # only a list made under the lock tells what has vanished
                found = find_files(sources, listener)
            self._keep_encoder(encoder)
            report = Indexing(
                self._catalog, self.path / "vectors", encoder, labels == "folders", workers, image_seconds, listener
            ).run(found)
        if by_file is not None:
            self._apply_labels(labels, by_file)
        return report

    def _create(self) -> None:
        try:
            for part in (self.path, self.path / "vectors", self.path / "encoders"):
                part.mkdir(parents=True, exist_ok=True)
            sync_folder(self.path.parent)
        except OSError as error:
            raise DiskError(
                f"store {str(self.path)!r} cannot be created: {error.strerror}; choose another place"
            ) from error
        with self._writing():
            self._catalog.create()

    def _encoder_to_index_with(self) -> Encoder:
        if self._given is not None:
            return self._given
        held = self._catalog.encoders()
        if len(held) != 1:
            raise no_such_encoder(None, held)
        return self._encoders.open(held[0])

    def _writing(self) -> AbstractContextManager[None]:
        return only_writer(self.path)

    # -- search

    def search(self, query: Query, k: int = 10, where: str | None = None, encoder: str | Path | None = None) -> Matches:
        """Find the k items nearest to a query: an image file, a PIL image, an item id (itself left out) or a vector (D,).

        `where` is one SQL expression over the columns of `items`; fewer than k hits come back only when fewer items match.
        Raises QueryError, ImageError, EncoderNotInStore.
        """
        if k < 1:
            raise QueryError(f"k = {k}: expected at least 1")
        moment = self._views.now()
        record = self._record(encoder, moment)
        view = moment.view(record.fingerprint)
        rows = view.items.rows if where is None else moment.allowed(record.fingerprint, where)
        if isinstance(query, (int, np.integer)):
            own = np.flatnonzero(view.items.ids == query)
            if not len(own):
                raise QueryError(
                    f"item {query}: the store has no such item with a vector of {record.name}; `featurestore sql STORE 'SELECT id, path FROM items'` lists them"
                )
            vector = view.vectors[view.items.rows[own]].astype(np.float32)
            rows = rows[rows != view.items.rows[own]]
            shown: Image.Image | str | None = view.items.paths[own[0]].as_py()
        else:
            vector, shown = self._query_vector(query, record, encoder)
        scores, found = index.exact(vector, view.vectors, rows, min(k, len(rows)))
        hits = view.at(found[0])
        paths, labels = (column.take(hits).to_pylist() for column in (view.items.paths, view.items.labels))
        return Matches(view.items.ids[hits], scores[0].clip(-1, 1), paths, labels, shown)

    def _query_vector(
        self, query: str | Path | Image.Image | NDArray[np.floating], record: EncoderRecord, named: str | Path | None
    ) -> tuple[NDArray[np.float32], Image.Image | str | None]:
        if isinstance(query, np.ndarray):
            if query.shape != (record.dim,):
                raise QueryError(
                    f"query vector: expected the shape ({record.dim},) of encoder {record.name}, found {query.shape}"
                )
            unit = unit_rows(query[None])
            if np.isnan(unit).any():
                raise QueryError("query vector: expected finite numbers that are not all zero")
            return unit, None
        if not isinstance(query, (str, Path, Image.Image)):
            raise QueryError(
                f"query: expected the path of an image, a PIL image, an item id or a vector; found {type(query).__name__}"
            )
        encoder = self._encoders.open(record, Path(named) if named is not None and Path(named).is_file() else None)
        if isinstance(query, Image.Image):
            decoded = images.take(query)
        else:
            try:
                decoded = images.decode(read(query), shorter_side=encoder.preprocess.shorter_side)
            except ImageError as error:
                raise ImageError(f"query {str(query)!r}: expected an image file; {error}") from error
        unit = unit_rows(encoder.encode(preprocess.apply(decoded, encoder.preprocess)[None]))
        if np.isnan(unit).any():
            raise QueryError(
                f"query: encoder {record.name} gave a vector that is zero or not finite; use another image"
            )
        return unit, query if isinstance(query, Image.Image) else str(query)

    # -- measures

    def knn(
        self, k: int | Sequence[int] = (10, 20, 100, 200), temperature: float = 0.07, encoder: str | Path | None = None
    ) -> KnnReport:
        """Measure k-NN classification by the store's labels: split test against train when both are there, else leave-one-out.

        Raises EvaluationError when there are no labels, or k is larger than the labelled items to compare with.
        """
        ks = [k] if isinstance(k, int) else list(k)
        if not ks or min(ks) < 1:
            raise EvaluationError(f"k = {', '.join(map(str, ks)) or 'none'}: expected at least 1")
        moment = self._views.now()
        record = self._record(encoder, moment)
        view = moment.view(record.fingerprint)
        labelled = view.items.labels.is_valid().to_numpy()
        if not labelled.any():
            raise EvaluationError(
                "k-NN needs labels, the store has none: index with --labels folders, or give them by `featurestore label STORE FILE.csv`"
            )
        rows = view.items.rows[labelled]
        labels = view.items.labels.filter(labelled).to_numpy().astype(str)
        splits = view.items.splits.filter(labelled).to_numpy()
        names, codes = np.unique(labels, return_inverse=True)
        train, test = splits == "train", splits == "test"
        leave_one_out = not (train.any() and test.any())
        if leave_one_out:
            train = test = np.ones(len(rows), bool)
        available = int(train.sum()) - leave_one_out
        if max(ks) > available:
            raise EvaluationError(
                f"k = {max(ks)} is more than the {available} labelled images there are to compare with; choose a smaller --k"
            )
        bank = np.asarray(rows[train])
        queries = np.asarray(view.vectors[rows[test]], np.float32)
        scores, found = index.exact(queries, view.vectors, bank, max(ks) + leave_one_out)
        if leave_one_out:
            scores, found = _without_self(scores, found, rows)
        order = np.searchsorted(rows, found)
        results, classes = knn.evaluate(scores, codes[order], codes[test], [str(n) for n in names], ks, temperature)
        split = "leave-one-out" if leave_one_out else "train->test"
        return KnnReport(record.fingerprint, split, temperature, int(train.sum()), int(test.sum()), results, classes)

    def features(
        self, split: str | None = None, encoder: str | Path | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[Any]]:
        """Give ids (N,), vectors float32 (N, D) and labels (N,) (None where unlabelled), of one split or of all items."""
        moment = self._views.now()
        view = moment.view(self._record(encoder, moment).fingerprint)
        splits, labels = (column.to_numpy() for column in (view.items.splits, view.items.labels))
        chosen = np.ones(len(splits), bool) if split is None else splits == split
        vectors = np.asarray(view.vectors[view.items.rows[chosen]], np.float32)
        return view.items.ids[chosen], vectors, labels[chosen]

    # -- catalog

    def sql(self, text: str, seconds: float = 30.0) -> pa.Table:
        """Run one read-only SQL statement over `items`, `vectors`, `encoders` and `failures`; raises QueryError."""
        return self._catalog.sql(text, seconds)

    def label(self, file: str | Path) -> LabelReport:
        """Set labels from a CSV file with the columns path, label and perhaps split; an empty label takes it away.

        Paths are absolute, or relative to the CSV file's folder or the current one. Raises SourceError when the file is no such CSV.
        """
        return self._apply_labels(file, read_labels(file))

    def _apply_labels(self, file: str | Path, given: LabelFile) -> LabelReport:
        with self._writing():
            known = self._catalog.paths()
            found = [next((path for path in line.meant if path in known), None) for line in given.lines]
            if given.lines and not any(found):
                first = given.lines[0]
                raise SourceError(
                    f"{file}: none of its {len(given.lines)} paths is an item of the store, the first: {first.written!r}, taken as "
                    f"{first.meant[0]}; give absolute paths, or paths relative to the file"
                )
            hits = {
                path: line for path, line in zip(found, given.lines, strict=True) if path is not None
            }  # the last counts
            splits = [line.split for line in hits.values()] if given.has_splits else None
            self._catalog.set_labels(list(hits), [line.label for line in hits.values()], splits)
        unknown = {line.written for path, line in zip(found, given.lines, strict=True) if path is None}
        return LabelReport(len(hits), tuple(sorted(unknown)))

    def failures(self) -> list[Failure]:
        """Every file that could not be used, with its reason."""
        return [Failure(path, reason) for path, reason, _ in self._catalog.failures()]

    def info(self) -> dict[str, Any]:
        """Counts, labels, splits, encoders and sizes of the store."""
        moment = self._views.now()
        encoders = [
            {
                "name": r.name, "fingerprint": r.fingerprint, "dim": r.dim, "vectors": len(moment.view(r.fingerprint).items.rows), "rows": r.rows,
                **{key: r.card[key] for key in ("method", "backbone", "branch", "trained_on", "preprocess")},
            }
            for r in moment.encoders
        ]  # fmt: skip
        return {"store": str(self.path), **self._catalog.counts(), "encoders": encoders, "bytes": size(self.path)}

    # -- upkeep

    def delete(self, where: str, dry_run: bool = False, seconds: float = 30.0) -> int:
        """Forget the items for which `where` holds, with their labels and vectors; returns how many. Their files stay as they are.

        Items that vanished are looked at too, which `removed_at IS NOT NULL` tells. The next `index` of their source adds them again, as new items. Raises QueryError.
        """
        with nullcontext() if dry_run else self._writing():
            ids = self._catalog.choose(where, seconds, vanished=True)
            if len(ids) and not dry_run:
                self._catalog.delete(ids)
        return len(ids)

    def optimize(self, listener: Listener | None = None) -> OptimizeReport:
        """Rewrite the store without what nobody needs: rows of items that changed, vanished or were deleted.

        Raises StoreCorrupt when a vector file is damaged, DiskError when there is no room for the new one; then all is as before.
        """
        with self._writing():
            return optimize(self._catalog, self.path, listener or Listener())

    @classmethod
    def verify(cls, path: str | Path, repair: bool = False, listener: Listener | None = None) -> VerifyReport:
        """Read every byte of a store against its checksums; with `repair`, put right what can be, and move aside what cannot.

        Raises StoreNotFound, StoreBusy, DiskError.
        """
        try:
            store = cls.open(path)
        except StoreCorrupt:
            store = cls(Path(path), None, "cpu")
        with store._writing() if repair else nullcontext():
            return Verification(store._catalog, store.path, store._encoders, listener or Listener(), repair).run()

    def export_vectors(
        self, out: str | Path, encoder: str | Path | None = None, listener: Listener | None = None
    ) -> int:
        """Write the items of an encoder with their vectors into a Parquet file; returns how many. Raises DiskError."""
        record = self._record(encoder, self._views.now())
        return export_vectors(
            self._catalog, self.path / "vectors", record.fingerprint, Path(out), listener or Listener()
        )

    def import_vectors(self, file: str | Path, listener: Listener | None = None) -> ImportReport:
        """Add the items and vectors of a file of `export_vectors`; paths that have a vector here keep theirs.

        The store must know the encoder that made them, or be opened with it. Raises SourceError, EncoderNotInStore.
        """
        origin = read_origin(Path(file))
        given = self._given if self._given is not None and self._given.fingerprint == origin.fingerprint else None
        if given is not None:
            self._create()
        elif origin.fingerprint not in {r.fingerprint for r in self._catalog.encoders()}:
            raise EncoderNotInStore(
                f"{file}: its vectors were made by {origin.name}, which this store does not know; give that file: --encoder encoder.onnx"
            )
        with self._writing():
            if given is not None:
                self._keep_encoder(given)
            [record] = [r for r in self._catalog.encoders() if r.fingerprint == origin.fingerprint]
            return import_vectors(self._catalog, self.path / "vectors", record, Path(file), listener or Listener())

    # -- encoders

    def _record(self, wanted: str | Path | None, moment: Moment) -> EncoderRecord:
        """Find the one encoder a call means: named by name, fingerprint or file, given at opening, or the only one."""
        held = moment.encoders
        if wanted is None and self._given is not None:
            wanted = self._given.fingerprint
        if wanted is None:
            matching = held
        elif Path(wanted).is_file():
            own = fingerprint(wanted)
            matching = [r for r in held if r.fingerprint == own]
        else:
            text = str(wanted)
            matching = [r for r in held if r.name == text or (len(text) >= 6 and r.fingerprint.startswith(text))]
        if len(matching) != 1:
            raise no_such_encoder(None if wanted is None else str(wanted), held)
        return matching[0]

    def _vector_file(self, record: EncoderRecord) -> VectorFile:
        return VectorFile(self.path / "vectors" / record.file, record.dim)

    def _keep_encoder(self, encoder: Encoder) -> None:
        """Copy the encoder's file into the store and make it known to the catalog."""
        self._encoders.keep(encoder)
        if encoder.fingerprint not in {r.fingerprint for r in self._catalog.encoders()}:
            self._catalog.add_encoder(encoder.fingerprint, encoder.name, encoder.dim, encoder.card.to_json())


def _without_self(
    scores: NDArray[np.float32], found: NDArray[np.int64], rows: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Take each query's own row out of its neighbours; where ties pushed it out, the last one goes. (N, K + 1) to (N, K)."""
    own = found == rows[:, None]
    own[~own.any(axis=1), -1] = True
    keep = ~own
    return scores[keep].reshape(len(rows), -1), found[keep].reshape(len(rows), -1)
