"""FeatureStore: encoder, catalog, vectors and index, joined in one directory."""

import shutil
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from PIL import Image

from featurestore import images, index, preprocess
from featurestore.catalog import PART, Catalog, EncoderRecord, no_such_encoder
from featurestore.encoder import Encoder, fingerprint
from featurestore.errors import (
    DiskError,
    EvaluationError,
    ImageError,
    QueryError,
    SourceError,
    StoreCorrupt,
    StoreError,
    StoreNotFound,
)
from featurestore.evaluation import knn
from featurestore.images import Failure
from featurestore.indexing import Indexing, find_files
from featurestore.labels import LabelFile
from featurestore.labels import read as read_labels
from featurestore.lock import only_writer
from featurestore.progress import Listener
from featurestore.results import IndexReport, KnnReport, LabelReport, Matches
from featurestore.vectors import VectorFile, sync_file, sync_folder, unit_rows

STORE_PARTS = {
    "lock",
    "vectors",
    "encoders",
    "indexes",
    PART,
    f"{PART}.wal",
}  # may lie in a store whose creation was cut off
Query = str | Path | int | Image.Image | NDArray[np.floating]


class FeatureStore:
    """A directory of items, their vectors and labels. Make one with `FeatureStore.open`."""

    def __init__(self, path: Path, encoder: Encoder | None) -> None:
        self.path = path
        self._given = encoder
        self._opened: dict[str, Encoder] = {}
        self._catalog = Catalog(path / "catalog.duckdb")

    @classmethod
    def open(cls, path: str | Path, encoder: str | Path | None = None) -> "FeatureStore":
        """Open a store; with an encoder it may be absent, is created by the first `index`, and its calls use that encoder.

        Raises StoreNotFound, StoreError (a folder that is something else, or a newer store), StoreCorrupt, EncoderError.
        """
        path = Path(path)
        if not (path / "catalog.duckdb").exists():
            if encoder is None:
                raise StoreNotFound(
                    f"no store at {str(path)!r}; create one: featurestore index {path} SOURCE --encoder encoder.onnx"
                )
            if path.exists() and (not path.is_dir() or any(p.name not in STORE_PARTS for p in path.iterdir())):
                raise StoreError(
                    f"{str(path)!r} exists and is no store; expected a store or a path where nothing is yet; the store comes before the sources"
                )
            if any((path / "vectors").glob("*.f16")):
                raise StoreCorrupt(
                    f"{path / 'catalog.duckdb'} is missing, though the store holds vectors; put it back from a backup, or index into a new store"
                )
        store = cls(path, Encoder(encoder) if encoder is not None else None)
        store._catalog.check()
        return store

    # -- index

    def index(
        self,
        *sources: str | Path,
        labels: str | Path | Literal["none", "folders"] = "none",
        workers: int | None = None,
        listener: Listener | None = None,
    ) -> IndexReport:
        """Bring the store up to date with its sources: encode new and changed images, mark vanished ones as removed.

        labels: "folders" takes the parent folder as label and a top folder train, val or test as split; a CSV file is applied
        afterwards as by `label`; "none" leaves labels as they are. Work is committed every few seconds, so that a stopped run
        goes on where it was. Raises SourceError when there is no image, DiskError, StoreBusy; Interrupted on Ctrl-C.
        """
        encoder = self._encoder_to_index_with()
        by_file = None if labels in ("none", "folders") else read_labels(labels)
        listener = listener or Listener()
        found = find_files(sources, listener)
        self._create()
        with self._writing():
            self._keep_encoder(encoder)
            file = self._vector_file(encoder.fingerprint, encoder.dim)
            report = Indexing(self._catalog, file, encoder, labels == "folders", workers, listener).run(found)
        if by_file is not None:
            self._apply_labels(labels, by_file)
        return report

    def _create(self) -> None:
        try:
            for part in (self.path, self.path / "vectors", self.path / "encoders"):
                part.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise DiskError(
                f"store {str(self.path)!r} cannot be created: {error.strerror}; choose another place"
            ) from error
        with self._writing():
            self._catalog.create()
        sync_folder(self.path)

    def _encoder_to_index_with(self) -> Encoder:
        if self._given is not None:
            return self._given
        held = self._catalog.encoders()
        if len(held) != 1:
            raise no_such_encoder(None, held)
        return self._open_encoder(held[0])

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
        record = self._record(encoder)
        rows, ids, committed = self._catalog.rows(record.fingerprint, where)
        vectors = self._map_vectors(record, committed)
        if isinstance(query, (int, np.integer)):
            own_rows, own_ids, at_least = self._catalog.rows(record.fingerprint, f"id = {int(query)}")
            if not len(own_ids):
                raise QueryError(
                    f"item {query}: the store has no such item with a vector of {record.name}; `featurestore sql STORE 'SELECT id, path FROM items'` lists them"
                )
            vector = self._map_vectors(record, at_least)[own_rows].astype(np.float32)
            others = ids != query
            rows, ids = rows[others], ids[others]
            shown: Image.Image | str | None = self._catalog.describe(own_ids)[0][0]
        else:
            vector, shown = self._query_vector(query, record)
        scores, found = index.exact(vector, vectors, rows, min(k, len(rows)))
        hits = ids[np.searchsorted(rows, found[0])]
        described = self._catalog.describe(hits)
        return Matches(hits, scores[0].clip(-1, 1), [d[0] for d in described], [d[1] for d in described], shown)

    def _query_vector(
        self, query: str | Path | Image.Image | NDArray[np.floating], record: EncoderRecord
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
        encoder = self._open_encoder(record)
        if isinstance(query, Image.Image):
            decoded = images.take(query)
        else:
            try:
                decoded = images.decode(images.read(query), shorter_side=encoder.preprocess.shorter_side)
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
        record = self._record(encoder)
        ids, rows, labels, splits, vectors = self._labelled(record)
        if not len(ids):
            raise EvaluationError(
                "k-NN needs labels, the store has none: index with --labels folders, or give them by `featurestore label STORE FILE.csv`"
            )
        names, codes = np.unique(labels, return_inverse=True)
        train, test = splits == "train", splits == "test"
        leave_one_out = not (train.any() and test.any())
        if leave_one_out:
            train = test = np.ones(len(ids), bool)
        available = int(train.sum()) - leave_one_out
        if max(ks) > available:
            raise EvaluationError(
                f"k = {max(ks)} is more than the {available} labelled images there are to compare with; choose a smaller --k"
            )
        bank = np.asarray(rows[train])
        queries = np.asarray(vectors[rows[test]], np.float32)
        scores, found = index.exact(queries, vectors, bank, max(ks) + leave_one_out)
        if leave_one_out:
            scores, found = _without_self(scores, found, rows)
        order = np.searchsorted(rows, found)
        results, classes = knn.evaluate(scores, codes[order], codes[test], [str(n) for n in names], ks, temperature)
        split = "leave-one-out" if leave_one_out else "train->test"
        return KnnReport(record.fingerprint, split, temperature, int(train.sum()), int(test.sum()), results, classes)

    def _labelled(self, record: EncoderRecord) -> tuple[Any, Any, Any, Any, NDArray[np.float16]]:
        rows, ids, committed = self._catalog.rows(record.fingerprint, "label IS NOT NULL")
        described = self._catalog.describe(ids)
        labels = np.array([d[1] for d in described], dtype=object).astype(str)
        splits = np.array([d[2] or "" for d in described])
        return ids, rows, labels, splits, self._map_vectors(record, committed)

    def features(
        self, split: str | None = None, encoder: str | Path | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[Any]]:
        """Give ids (N,), vectors float32 (N, D) and labels (N,) (None where unlabelled), of one split or of all items."""
        record = self._record(encoder)
        rows, ids, committed = self._catalog.rows(record.fingerprint)
        described = self._catalog.describe(ids)
        chosen = np.array([split is None or d[2] == split for d in described], bool)
        labels = np.array([d[1] for d in described], dtype=object)
        return ids[chosen], np.asarray(self._map_vectors(record, committed)[rows[chosen]], np.float32), labels[chosen]

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
            hits = [(path, line) for path, line in zip(found, given.lines, strict=True) if path is not None]
            splits = [line.split for _, line in hits] if given.has_splits else None
            self._catalog.set_labels([path for path, _ in hits], [line.label for _, line in hits], splits)
        unknown = {line.written for path, line in zip(found, given.lines, strict=True) if path is None}
        return LabelReport(len(hits), tuple(sorted(unknown)))

    def failures(self) -> list[Failure]:
        """Every file that could not be used, with its reason."""
        return [Failure(path, reason) for path, reason, _ in self._catalog.failures()]

    def info(self) -> dict[str, Any]:
        """Counts, labels, splits, encoders and sizes of the store."""
        encoders = [
            {
                "name": r.name, "fingerprint": r.fingerprint, "dim": r.dim, "vectors": len(self._catalog.rows(r.fingerprint)[0]), "rows": r.rows,
                **{key: r.card[key] for key in ("method", "backbone", "branch", "trained_on", "preprocess")},
            }
            for r in self._catalog.encoders()
        ]  # fmt: skip
        size = sum(_size(p) for p in self.path.rglob("*"))
        return {"store": str(self.path), **self._catalog.counts(), "encoders": encoders, "bytes": size}

    # -- encoders

    def _record(self, wanted: str | Path | None) -> EncoderRecord:
        """Find the one encoder a call means: named by name, fingerprint or file, given at opening, or the only one."""
        held = self._catalog.encoders()
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

    def _open_encoder(self, record: EncoderRecord) -> Encoder:
        if self._given is not None and self._given.fingerprint == record.fingerprint:
            return self._given
        if record.fingerprint not in self._opened:
            path = self.path / "encoders" / f"{record.fingerprint[:16]}.onnx"
            if not path.exists():
                raise StoreCorrupt(
                    f"{path} is missing; put the encoder {record.name} back there, or give it by --encoder"
                )
            encoder = Encoder(path)
            if encoder.fingerprint != record.fingerprint:
                raise StoreCorrupt(
                    f"{path}: expected the fingerprint {record.fingerprint[:16]}…, found {encoder.fingerprint[:16]}…; the file was changed: put the right one back"
                )
            self._opened[record.fingerprint] = encoder
        return self._opened[record.fingerprint]

    def _vector_file(self, fingerprint: str, dim: int) -> VectorFile:
        return VectorFile(self.path / "vectors" / f"{fingerprint[:16]}.f16", dim)

    def _map_vectors(self, record: EncoderRecord, rows: int) -> NDArray[np.float16]:
        return self._vector_file(record.fingerprint, record.dim).open(rows)

    def _keep_encoder(self, encoder: Encoder) -> None:
        """Copy the encoder's file into the store and make it known to the catalog."""
        path = self.path / "encoders" / f"{encoder.fingerprint[:16]}.onnx"
        if not path.exists() or fingerprint(path) != encoder.fingerprint:
            part = path.with_suffix(".part")
            try:
                shutil.copyfile(encoder.path, part)
                if fingerprint(part) != encoder.fingerprint:
                    raise StoreError(f"{encoder.path} changed while it was being read; run the command again")
                sync_file(part)
                part.replace(path)
                sync_folder(path.parent)
            except OSError as error:
                raise DiskError(
                    f"{path}: the encoder could not be copied ({error.strerror}); free some space and run the same command again"
                ) from error
            finally:
                part.unlink(missing_ok=True)
        if encoder.fingerprint not in {r.fingerprint for r in self._catalog.encoders()}:
            self._catalog.add_encoder(encoder.fingerprint, encoder.name, encoder.dim, encoder.card.to_json())


def _size(path: Path) -> int:
    """Bytes of a file; 0 for a folder, and for a file that a writer took away meanwhile."""
    try:
        return path.stat().st_size if path.is_file() else 0
    except FileNotFoundError:
        return 0


def _without_self(
    scores: NDArray[np.float32], found: NDArray[np.int64], rows: NDArray[np.int64]
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Take each query's own row out of its neighbours; where ties pushed it out, the last one goes. (N, K + 1) to (N, K)."""
    own = found == rows[:, None]
    own[~own.any(axis=1), -1] = True
    keep = ~own
    return scores[keep].reshape(len(rows), -1), found[keep].reshape(len(rows), -1)
