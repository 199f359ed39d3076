"""Classifiers that a store keeps, asked about its items."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from featurestore.ann.faiss_index import floats
from featurestore.catalog import Catalog, ClassifierRecord, EncoderRecord
from featurestore.errors import EncoderNotInStore, StoreCorrupt
from featurestore.estimators.linear_classifier import LinearClassifier
from featurestore.progress import Listener
from featurestore.storage.snapshot import Snapshot
from featurestore.system.spool import Spool

BLOCK = 8_192  # vectors that are classified at a time
PREDICTIONS = pa.schema([("id", pa.int64()), ("said", pa.string()), ("confidence", pa.float32())])


@dataclass(frozen=True, slots=True)
class ApplyReport:
    """What a classifier took the items for."""

    columns: tuple[str, str]  # of the items, that were filled
    items: int  # that were classified
    without_vector: int  # that were to be, and have no vector of the classifier's encoder
    counts: dict[str, int]  # items by class, most frequent first


def encoder_of(record: ClassifierRecord, held: Sequence[EncoderRecord]) -> EncoderRecord:
    """The encoder whose vectors a classifier is for. Raises EncoderNotInStore when the store does not have it."""
    for encoder in held:
        if encoder.fingerprint == record.encoder:
            return encoder
    raise EncoderNotInStore(
        f"classifier {record.name!r} is for vectors of the encoder {record.encoder[:16]}, the store has those of "
        f"{', '.join(encoder.name for encoder in held) or 'none'}; train it again: featurestore classify STORE --train --name {record.name}"
    )


def apply_classifier(
    catalog: Catalog, moment: Snapshot, name: str, where: str | None, listener: Listener
) -> ApplyReport:
    """Write what a classifier takes items for into columns of theirs: all that have a vector, or those for which `where` holds.

    Its caller is the store's only writer. Raises QueryError when there is no such classifier or its columns are taken,
    EncoderNotInStore, StoreCorrupt.
    """
    record = catalog.classifiers.get(name)
    model = LinearClassifier.of(record)
    catalog.classifiers.check_columns(record.name)
    view = moment.item_vectors(encoder_of(record, moment.encoders).fingerprint)
    ids, rows = view.items.ids, view.items.rows
    wanted = catalog.items.counts()["items"]
    if where is not None:
        chosen = catalog.items.select(where)
        among = np.isin(ids, chosen)
        ids, rows, wanted = ids[among], rows[among], len(chosen)
    predictions, counts = Spool(PREDICTIONS), np.zeros(len(model.classes), np.int64)
    classes = pa.array(model.classes, pa.string())
    listener.start("classifying", len(ids))
    for start in range(0, len(ids), BLOCK):
        block = slice(start, start + BLOCK)
        x = floats(view.vectors[rows[block]])
        if not np.isfinite(x).all():
            raise StoreCorrupt(
                "a vector of the store has values that are no numbers: it was damaged after it was written; see: featurestore verify STORE"
            )
        probabilities = model.probabilities(x)
        said = probabilities.argmax(axis=1)
        sure = probabilities.max(axis=1).astype(np.float32)
        predictions.add_batch(pa.record_batch([ids[block], classes.take(pa.array(said)), sure], schema=PREDICTIONS))
        counts += np.bincount(said, minlength=len(counts))
        listener.advance(len(said))
    catalog.classifiers.fill(record, predictions, everywhere=where is None)
    order = np.argsort(-counts, kind="stable")
    return ApplyReport(
        record.columns, len(ids), wanted - len(ids), {model.classes[n]: int(counts[n]) for n in order if counts[n]}
    )


def told(record: ClassifierRecord) -> dict[str, Any]:
    """What there is to say of a classifier that a store keeps."""
    figures = record.card.get("figures", {})
    return {
        "name": record.name, "encoder": record.encoder, "method": record.method, "damaged": not record.intact,
        "classes": record.card.get("classes", []), "n_train": figures.get("n_train"), "top1": figures.get("top1"),
        "top1_ci95": figures.get("top1_ci95"), "trained_at": record.trained_at, "applied_at": record.applied_at,
    }  # fmt: skip
