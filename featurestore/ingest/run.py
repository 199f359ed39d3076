"""One run of ingest: a store brought up to date with its sources."""

import os
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal, cast

from featurestore.catalog import no_such_encoder
from featurestore.encoders import Encoder
from featurestore.errors import ConfigError, EncoderError, SourceError, StoreCorrupt
from featurestore.imaging.pool import check_limits
from featurestore.ingest.find_files import Found, find_files
from featurestore.ingest.ingest import Ingest
from featurestore.ingest.readable import check_readable, nothing_usable
from featurestore.ingest.reports import IndexReport
from featurestore.metadata import LabelReport, apply_deleted, apply_labels
from featurestore.progress import Listener
from featurestore.sources.column_names import USUAL, ColumnNames
from featurestore.sources.filesystem import is_url
from featurestore.sources.keyed_table import KeyedTable
from featurestore.sources.label_file import read_labels
from featurestore.storage import Storage
from featurestore.storage.deleted_file import read_deleted
from featurestore.system.text import as_argument, counted


def ingest(
    store: Storage,
    *sources: str | Path,
    labels: str | Path | Literal["none", "folders"] = "none",
    workers: int | None = None,
    image_seconds: float = 30.0,
    include_deleted: bool = False,
    restore: str | Path | None = None,
    exclude: Sequence[str] | None = None,
    path_column: str | None = None,
    label_column: str | None = None,
    split_column: str | None = None,
    listener: Listener | None = None,
) -> IndexReport:
    """Bring the store up to date with its sources: encode new and changed images, and mark items that are gone as removed.

    Without sources, those of earlier runs. Uses the encoder that the store was opened with, otherwise all that it has; the report is
    that of the default one, with those of the others in it. Encoders whose file is missing or damaged are passed over and named in the report.

    labels: "folders" takes the parent folder as the label and a top folder train, val or test as the split; a CSV, JSON Lines or
    Parquet file is applied afterwards as by `label`; "none" leaves labels as they are. path_column, label_column, split_column: columns
    of that file, or of sources that are tables, that have no usual name. Folders never replace a label from a file or a person. An image
    that takes longer than `image_seconds` to read, or again to decode, is a failure. Items that were deleted stay so, by path and content, unless
    `include_deleted`. restore: a file of `delete_copies`, whose items are added again, with the labels, splits and columns that it says. What
    matches a pattern of `exclude`, in the form of .gitignore, is left out; the store keeps the patterns of each source until others are given,
    [] for none. Work is committed every few seconds, so a stopped run goes on where it was.
    Raises SourceError when there is no image, when none can be read, when labels="folders" finds no label, or several columns could be
    them; ConfigError, EncoderNotInStore, DiskError, StoreBusy; Interrupted on Ctrl-C.
    """
    check_limits(workers, image_seconds)
    if restore is not None and (labels != "none" or path_column):
        raise ConfigError("labels come from the file to restore from; leave out --labels and the columns")
    columns = ColumnNames(path_column, label_column, split_column)
    by_folder = labels == "folders"
    if labels == "none" and (label_column or split_column):
        raise ConfigError("a column of labels or splits was named, but no labels are wanted; add --labels folders")
    table = None if labels in ("none", "folders") else _read_table(Path(labels), columns)
    deleted = None if restore is None else read_deleted(store, Path(restore))
    taken_back = frozenset[str]() if deleted is None else deleted.contents
    in_sources = columns if table is None else USUAL
    listener = listener or Listener()
    is_new = not store.layout.is_store()
    wanted = _sources(store, sources, is_new, exclude, listener)
    find = partial(_find, wanted, by_folder, in_sources, listener)
    found = None
    if is_new:  # so that a source without images creates nothing
        found = find()
        check_readable(found, cast(Encoder, store.given_encoder).preprocess, workers, image_seconds)
    store.create()
    reports = []
    with store.writing():
        if deleted is not None:
            store.catalog.deletions.take_back(deleted.labels.rows)
        if found is None or store.catalog.encoders.all():  # what is gone is only known from a list made under the lock
            found = find()
        for note in found.listing.notes(by_folder, exclude or ()):
            listener.note(note)
        encoders, not_run = _encoders(store)
        for encoder in encoders:
            record = store.add_encoder(encoder)
            run = Ingest(
                store, record, encoder, by_folder, workers, image_seconds, include_deleted, taken_back, listener
            )
            reports.append(run.run(found))
        store.catalog.sources.add(dict(wanted))
    for line in dict.fromkeys(line for report in reports for line in report.readings.lines()):
        listener.note(line)
    if exchanged := max(report.exchanged for report in reports):
        listener.note(
            f"{counted(exchanged, 'file')} now with the content that another file had, as after renumbering; ids, labels and columns stayed with the paths: check them"
        )
    if not any(r.added + r.updated + r.unchanged + r.moved + r.deleted for r in reports):
        raise SourceError(
            f"{nothing_usable(reports[0].failed, reports[0].reasons)}; to list: featurestore failures {as_argument(store.path)}"
        )
    report = replace(reports[0], others=tuple(reports[1:]), not_run=tuple(not_run))
    apply = partial(apply_labels, store, table) if table is not None else None
    apply = partial(apply_deleted, store, deleted) if deleted is not None else apply
    if apply is not None:
        given = _apply(apply, listener)
        report = replace(report, labels_set=given.set, labels_changed=given.changed, labels_kept=given.kept)
    return report


def _read_table(file: Path, columns: ColumnNames) -> KeyedTable:
    if not file.exists():
        raise SourceError(f"labels {str(file)!r}: expected none, folders or a file of labels, found no such file")
    return read_labels(file, columns=columns)


def _apply(apply: Callable[[], LabelReport], listener: Listener) -> LabelReport:
    try:
        given = apply()
    except SourceError as error:
        raise SourceError(f"the images are indexed, but have no labels yet: {error}") from error
    for remark in given.remarks():
        listener.note(remark)
    return given


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


Wanted = Sequence[tuple[str, Sequence[str]]]  # sources, each with its patterns of what to leave out


def _sources(
    store: Storage, given: Sequence[str | Path], is_new: bool, exclude: Sequence[str] | None, listener: Listener
) -> Wanted:
    """Give the sources of a run, or those of earlier runs that are there. Raises SourceError when there is none."""
    kept = {} if is_new else store.catalog.sources.all()
    names = [str(s) if is_url(str(s)) else os.path.abspath(os.path.expanduser(s)) for s in given]
    if is_new and not names:
        raise SourceError(
            f"{store.path} is a new store; name where its images are: featurestore index {as_argument(store.path)} SOURCE --encoder FILE"
        )
    if not names:
        names = [source for source in kept if is_url(source) or os.path.exists(source)]
        for source in sorted({*kept} - {*names}):
            at, argument = as_argument(store.path), as_argument(source)
            listener.note(
                f"source {source} is not there and is passed over; its items stay as they are; if it has moved: "
                f"featurestore relocate {at} {argument} NEW; if it is gone for good: featurestore sources {at} --forget {argument}"
            )
    if not names:
        raise SourceError(
            f"{store.path} remembers no source that is there; name one: featurestore index {as_argument(store.path)} SOURCE"
        )
    patterns = None if exclude is None else [pattern for pattern in exclude if pattern]
    names = list(dict.fromkeys(names))
    return [(name, kept.get(name, ()) if patterns is None else patterns) for name in names]


def _find(wanted: Wanted, by_folder: bool, named: ColumnNames, listener: Listener) -> Found:
    found = find_files(wanted, listener, named)
    if by_folder:
        found.listing.check_labels([source for source, _ in wanted])
    return found
