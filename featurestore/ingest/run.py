"""One run of ingest: a store brought up to date with its sources."""

from pathlib import Path
from typing import Literal

from featurestore.catalog import no_such_encoder
from featurestore.encoders import Encoder
from featurestore.ingest.ingest import IndexReport, Ingest, find_files
from featurestore.metadata import apply_labels
from featurestore.progress import Listener
from featurestore.sources.label_file import read_labels
from featurestore.storage import Storage


def ingest(
    store: Storage,
    *sources: str | Path,
    labels: str | Path | Literal["none", "folders"] = "none",
    workers: int | None = None,
    image_seconds: float = 30.0,
    listener: Listener | None = None,
) -> IndexReport:
    """Bring the store up to date with its sources: encode new and changed images, and mark items that are gone as removed.

    labels: "folders" takes the parent folder as the label and a top folder train, val or test as the split; a CSV or Parquet file is
    applied afterwards as by `label`; "none" leaves labels as they are. An image that takes longer than `image_seconds` to read and
    decode is a failure. Work is committed every few seconds, so a stopped run goes on where it was. Raises SourceError when there is
    no image, DiskError, StoreBusy; Interrupted on Ctrl-C.
    """
    encoder = _encoder(store)
    table = None if labels in ("none", "folders") else read_labels(labels)
    listener = listener or Listener()
    is_new = not store.layout.is_store()
    found = find_files(sources, listener) if is_new else None  # so that a source without images creates nothing
    store.create()
    with store.writing():
        if found is None or store.catalog.encoders.all():  # what is gone is only known from a list made under the lock
            found = find_files(sources, listener)
        record = store.add_encoder(encoder)
        report = Ingest(store, record, encoder, labels == "folders", workers, image_seconds, listener).run(found)
    if table is not None:
        apply_labels(store, table)
    return report


def _encoder(store: Storage) -> Encoder:
    """Give the encoder the store was opened with, or its only one. Raises EncoderNotInStore."""
    if store.given_encoder is not None:
        return store.given_encoder
    records = store.catalog.encoders.all()
    if len(records) != 1:
        raise no_such_encoder(None, records)
    return store.encoders.open(records[0])
