"""One run of ingest: a store brought up to date with its sources."""

import os
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Literal

from featurestore.catalog import no_such_encoder
from featurestore.encoders import Encoder
from featurestore.errors import EncoderError, SourceError, StoreCorrupt
from featurestore.ingest.ingest import Ingest, find_files
from featurestore.ingest.reports import IndexReport
from featurestore.metadata import apply_labels
from featurestore.progress import Listener
from featurestore.sources.filesystem import is_url
from featurestore.sources.label_file import read_labels
from featurestore.storage import Storage
from featurestore.system.text import printable


def ingest(
    store: Storage,
    *sources: str | Path,
    labels: str | Path | Literal["none", "folders"] = "none",
    workers: int | None = None,
    image_seconds: float = 30.0,
    include_deleted: bool = False,
    listener: Listener | None = None,
) -> IndexReport:
    """Bring the store up to date with its sources: encode new and changed images, and mark items that are gone as removed.

    Without sources, those of earlier runs. Uses the encoder that the store was opened with, otherwise all that it has; the report is
    that of the default one, with those of the others in it. Encoders whose file is missing or damaged are passed over and named in the report.

    labels: "folders" takes the parent folder as the label and a top folder train, val or test as the split; a CSV or Parquet file is
    applied afterwards as by `label`; "none" leaves labels as they are. Folders never replace a label from a file or a person. An image
    that takes longer than `image_seconds` to read and decode is a failure. Items that were deleted stay so, by path and content, unless
    `include_deleted`. Work is committed every few seconds, so a stopped run goes on where it was. Raises SourceError when there is no
    image, EncoderNotInStore, DiskError, StoreBusy; Interrupted on Ctrl-C.
    """
    table = None if labels in ("none", "folders") else read_labels(labels)
    listener = listener or Listener()
    is_new = not store.layout.is_store()
    sources = sources or _known_sources(store, is_new, listener)
    found = find_files(sources, listener) if is_new else None  # so that a source without images creates nothing
    store.create()
    by_folder = labels == "folders"
    reports = []
    with store.writing():
        if found is None or store.catalog.encoders.all():  # what is gone is only known from a list made under the lock
            found = find_files(sources, listener)
        encoders, not_run = _encoders(store)
        for encoder in encoders:
            record = store.add_encoder(encoder)
            run = Ingest(store, record, encoder, by_folder, workers, image_seconds, include_deleted, listener)
            reports.append(run.run(found))
        store.catalog.sources.add([str(s) if is_url(str(s)) else os.path.abspath(s) for s in sources])
    report = replace(reports[0], others=tuple(reports[1:]), not_run=tuple(not_run))
    if table is not None:
        given = apply_labels(store, table)
        report = replace(report, labels_set=given.set, labels_changed=given.changed, labels_kept=given.kept)
    return report


def _encoders(store: Storage) -> tuple[list[Encoder], list[str]]:
    """Give the encoder the store was opened with, or all that it has, the default one first, and why others cannot be opened.

    Raises EncoderNotInStore when it has none; the error of the last one when none can be opened.
    """
    if store.given_encoder is not None:
        return [store.given_encoder], []
    records = store.catalog.encoders.all()
    if not records:
        raise no_such_encoder(None, records)
    encoders: list[Encoder] = []
    problems: list[StoreCorrupt | EncoderError] = []
    for record in records:
        try:
            encoders.append(store.encoders.open(record))
        except (StoreCorrupt, EncoderError) as error:
            problems.append(error)
    if not encoders:
        raise problems[-1]
    return encoders, list(map(str, problems))


def _known_sources(store: Storage, is_new: bool, listener: Listener) -> tuple[str, ...]:
    """Give the sources of earlier runs that are there. Raises SourceError when there is none."""
    known = [] if is_new else store.catalog.sources.all()
    there = tuple(source for source in known if is_url(source) or os.path.exists(source))
    for source in sorted({*known} - {*there}):
        quoted = shlex.quote(printable(source))
        listener.note(
            f"source {printable(source)} is not there and is passed over; its items stay as they are; if it has moved: "
            f"featurestore relocate {store.path} {quoted} NEW; if it is gone for good: featurestore sources {store.path} --forget {quoted}"
        )
    if is_new:
        raise SourceError(
            f"{store.path} is a new store; name where its images are: featurestore index {store.path} SOURCE --encoder FILE"
        )
    if not there:
        raise SourceError(
            f"{store.path} remembers no source that is there; name one: featurestore index {store.path} SOURCE"
        )
    return there
