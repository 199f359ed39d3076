"""Classifiers of a store, applied to its items."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from featurestore.ann.faiss_index import floats
from featurestore.catalog import ClassifierRecord, EncoderRecord
from featurestore.classification.record import from_record
from featurestore.errors import EncoderNotInStore, StoreCorrupt
from featurestore.progress import Listener
from featurestore.storage.storage import Storage
from featurestore.system.spool import Spool
from featurestore.system.text import as_argument

BLOCK = 8_192  # vectors classified at a time
PREDICTIONS = pa.schema([("id", pa.int64()), ("predicted", pa.string()), ("confidence", pa.float32())])


@dataclass(frozen=True, slots=True)
class ApplyReport:
    """What a classifier predicted for the items of a store."""

    columns: tuple[str, str]  # of the items, filled with the predictions
    items: int  # classified
    without_vector: int  # to be classified, but without a vector of the classifier's encoder
    counts: dict[str, int]  # items by predicted class, most frequent first


def apply(store: Storage, name: str, where: str | None = None, listener: Listener | None = None) -> ApplyReport:
    """Write the predictions of a classifier and their confidence into the columns NAME and NAME_confidence of the items.

    Of all items that have a vector of its encoder, or of those that match `where`. Raises QueryError when there is no such classifier or
    its columns are taken; EncoderNotInStore; StoreCorrupt.
    """
    listener = listener or Listener()
    with store.writing():
        catalog, snapshot = store.catalog, store.snapshots.now()
        record = catalog.classifiers.get(name)
        encoder = find_encoder(record, snapshot.encoders)
        model = from_record(record, encoder.dim)
        catalog.classifiers.check_columns(record.name)
        view = snapshot.item_vectors(encoder.fingerprint)
        ids, rows = view.items.ids, view.items.rows
        wanted = catalog.items.counts()["items"]
        if where is not None:
            chosen = catalog.items.select(where)
            matching = np.isin(ids, chosen)
            ids, rows, wanted = ids[matching], rows[matching], len(chosen)
        predictions, counts = Spool(PREDICTIONS), np.zeros(len(model.classes), np.int64)
        classes = pa.array(model.classes, pa.string())
        listener.start("classifying", len(ids))
        for start in range(0, len(ids), BLOCK):
            part = slice(start, start + BLOCK)
            x = floats(view.vectors[rows[part]])
            if not np.isfinite(x).all():
                raise StoreCorrupt(
                    "a vector of the store contains NaN or infinity: it was damaged after it was written; see: featurestore verify STORE"
                )
            probabilities = model.probabilities(x)
            predicted = probabilities.argmax(axis=1)
            confidence = probabilities.max(axis=1).astype(np.float32)
            columns = [ids[part], classes.take(pa.array(predicted)), confidence]
            predictions.add_batch(pa.record_batch(columns, schema=PREDICTIONS))
            counts += np.bincount(predicted, minlength=len(counts))
            listener.advance(len(predicted))
        catalog.classifiers.fill(record, predictions, everywhere=where is None)
    order = np.argsort(-counts, kind="stable")
    found = {model.classes[n]: int(counts[n]) for n in order if counts[n]}
    return ApplyReport(record.columns, len(ids), wanted - len(ids), found)


def find_encoder(record: ClassifierRecord, encoders: Sequence[EncoderRecord]) -> EncoderRecord:
    """Find the encoder whose vectors a classifier is for. Raises EncoderNotInStore when the store does not have it."""
    for encoder in encoders:
        if encoder.fingerprint == record.encoder:
            return encoder
    raise EncoderNotInStore(
        f"classifier {record.name!r} is for vectors of the encoder {record.encoder[:16]}, the store has those of "
        f"{', '.join(encoder.name for encoder in encoders) or 'none'}; train it again: featurestore classify STORE --train --name {as_argument(record.name)}"
    )
