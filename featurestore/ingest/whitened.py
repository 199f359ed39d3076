"""Whiten an encoder of a store: fitted to its vectors, which are then mapped instead of encoded again."""

import itertools
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurestore.ann.normalize import unit_rows
from featurestore.catalog import EncoderRecord, ItemChange
from featurestore.catalog.encoded_items import ItemTable
from featurestore.encoders.encoder import Encoder
from featurestore.estimators.whitening import Whitening
from featurestore.progress import Listener
from featurestore.storage import Storage
from featurestore.storage.snapshot import with_vectors
from featurestore.system.packages import require

TRAIN = "train"
COMMIT_BATCHES = 16  # of a spool: some thousand items
UNCHANGED = ["id", "path", "width", "height", "bytes", "mtime_ns", "sha256"]  # what the new row repeats of an item


@dataclass(frozen=True, slots=True)
class WhitenReport:
    """What was done."""

    encoder: str  # name of the new encoder in the store
    file: str
    fitted_to: int  # vectors
    split: str | None  # which they are of; None: of all items
    mapped: int  # vectors that the new encoder has now

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def whiten(
    store: Storage, out: str | Path, encoder: str | Path | None = None, listener: Listener | None = None
) -> WhitenReport:
    """Fit a whitening to the vectors of an encoder, write both as the encoder file `out`, and add it to the store with mapped vectors.

    It is fitted to the items of split train, or to all where no item is of that split; labels are not looked at. Nothing is encoded
    again. Raises EncoderNotInStore; EncoderError for too few vectors, or an encoder that is whitened already; ConfigError without the package onnx; ExportError, DiskError.
    """
    require("onnx", extra="eval")
    from featurestore.encoders.whitened import write_whitened  # needs onnx

    listener = listener or Listener()
    view = store.view(encoder)
    source = store.encoders.open(view.items.encoder)
    rows, split = _training_rows(view.items)
    whitening = write_whitened(source, view.vectors[rows], Path(out))
    made = Encoder(out)
    with store.writing():
        record = store.add_encoder(made)
        mapped = _map(store, view.items.encoder.fingerprint, record, whitening, listener)
    return WhitenReport(record.name, str(out), len(rows), split, mapped)


def _training_rows(items: ItemTable) -> tuple[NDArray[np.int64], str | None]:
    """Give the rows of the items of split train, or of all where there are none."""
    of_train = np.asarray([split == TRAIN for split in items.splits.to_pylist()])
    return (items.rows[of_train], TRAIN) if of_train.any() else (items.rows, None)


def _map(store: Storage, fingerprint: str, record: EncoderRecord, whitening: Whitening, listener: Listener) -> int:
    """Give the new encoder a vector of each item that the other one has, but for those it has already; returns how many were mapped."""
    details, vectors = with_vectors(lambda: store.catalog.encoded.details(fingerprint), store.layout)
    writer = store.vector_writer(record)
    first = writer.rows
    listener.start("mapping", details.rows.rows)
    reader = details.rows.reader()
    while batches := list(itertools.islice(reader, COMMIT_BATCHES)):
        found = pa.Table.from_batches(batches)
        paths = found["path"].to_pylist()
        known, next_item = store.catalog.changes.known(record.fingerprint, paths)
        new = found.filter(pa.array([not known[path].encoded for path in paths]))
        mapped = unit_rows(whitening(vectors[new["rowid"].to_numpy()]))
        changes = [
            ItemChange(**item, new=False, label=None, split=None, row=row)
            for row, item in enumerate(new.select(UNCHANGED).to_pylist(), start=writer.rows)
        ]
        writer.commit(changes, mapped, next_item)
        listener.advance(len(found))
    return writer.rows - first
