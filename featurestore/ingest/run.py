"""One run of ingest: a store brought up to date with its sources."""

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal, cast

from featurestore.catalog import no_such_encoder
from featurestore.encoders import Encoder
from featurestore.errors import SourceError
from featurestore.ingest.ingest import Found, IndexReport, Ingest, find_files
from featurestore.ingest.readable import check_readable, nothing_usable
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
    exclude: Sequence[str] | None = None,
    listener: Listener | None = None,
) -> IndexReport:
    """Bring the store up to date with its sources: encode new and changed images, and mark items that are gone as removed.

    Without sources, those of earlier runs. Uses the encoder that the store was opened with, otherwise all that it has; the report is
    that of the default one, with those of the others in it.

    labels: "folders" takes the parent folder as the label and a top folder train, val or test as the split; a CSV or Parquet file is
    applied afterwards as by `label`; "none" leaves labels as they are. Folders never replace a label from a file or a person. An image
    that takes longer than `image_seconds` to read and decode is a failure. Items that were deleted stay so, by path and content, unless
    `include_deleted`. What matches a pattern of `exclude`, in the form of .gitignore, is left out; the store keeps the patterns of each
    source until others are given, [] for none. Work is committed every few seconds, so a stopped run goes on where it was.
    Raises SourceError when there is no image, when none can be read, or when labels="folders" finds no label; EncoderNotInStore,
    DiskError, StoreBusy; Interrupted on Ctrl-C.
    """
    table = None if labels in ("none", "folders") else read_labels(labels)
    listener = listener or Listener()
    is_new = not store.layout.is_store()
    by_folder = labels == "folders"
    wanted = _sources(store, sources, is_new, exclude, listener)
    found = None
    if is_new:  # so that a source without images creates nothing
        found = _find(wanted, by_folder, listener)
        check_readable(found, cast(Encoder, store.given_encoder).preprocess, workers, image_seconds)
    store.create()
    reports = []
    with store.writing():
        if found is None or store.catalog.encoders.all():  # what is gone is only known from a list made under the lock
            found = _find(wanted, by_folder, listener)
        _tell(found, by_folder, exclude, listener)
        for encoder in _encoders(store):
            record = store.add_encoder(encoder)
            run = Ingest(store, record, encoder, by_folder, workers, image_seconds, include_deleted, listener)
            reports.append(run.run(found))
        store.catalog.sources.add(dict(wanted))
    if not any(r.added + r.updated + r.unchanged + r.deleted for r in reports):
        raise SourceError(
            f"{nothing_usable(reports[0].failed, reports[0].reasons)}; to list them: featurestore failures {store.path}"
        )
    report = replace(reports[0], others=tuple(reports[1:]))
    if table is not None:
        given = apply_labels(store, table)
        report = replace(report, labels_set=given.set, labels_changed=given.changed, labels_kept=given.kept)
    return report


def _encoders(store: Storage) -> list[Encoder]:
    """Give the encoder the store was opened with, or all that it has, the default one first. Raises EncoderNotInStore."""
    if store.given_encoder is not None:
        return [store.given_encoder]
    records = store.catalog.encoders.all()
    if not records:
        raise no_such_encoder(None, records)
    return [store.encoders.open(record) for record in records]


Wanted = Sequence[tuple[str, Sequence[str]]]  # sources, each with its patterns of what to leave out


def _sources(
    store: Storage, given: Sequence[str | Path], is_new: bool, exclude: Sequence[str] | None, listener: Listener
) -> Wanted:
    """Give the sources of a run, or those of earlier runs that are there. Raises SourceError when there is none."""
    kept = {} if is_new else store.catalog.sources.all()
    names = [str(s) if is_url(str(s)) else os.path.abspath(os.path.expanduser(s)) for s in given]
    if is_new and not names:
        raise SourceError(
            f"{store.path} is a new store; name where its images are: featurestore index {store.path} SOURCE --encoder FILE"
        )
    if not names:
        names = [source for source in kept if is_url(source) or os.path.exists(source)]
        for source in sorted({*kept} - {*names}):
            listener.note(f"source {printable(source)} is not there and is passed over; its items stay as they are")
    if not names:
        raise SourceError(
            f"{store.path} remembers no source that is there; name one: featurestore index {store.path} SOURCE"
        )
    patterns = None if exclude is None else [pattern for pattern in exclude if pattern]
    names = list(dict.fromkeys(names))
    return [(name, kept.get(name, ()) if patterns is None else patterns) for name in names]


def _find(wanted: Wanted, by_folder: bool, listener: Listener) -> Found:
    found = find_files(wanted, listener)
    if by_folder:
        found.listing.check_labels([source for source, _ in wanted])
    return found


def _tell(found: Found, by_folder: bool, exclude: Sequence[str] | None, listener: Listener) -> None:
    """Note what was found and what was passed over."""
    listing = found.listing
    for text in (
        listing.describe() if by_folder else "",
        listing.passed_over.describe(),
        listing.check_excludes(exclude or ()),
    ):
        if text:
            listener.note(text)
