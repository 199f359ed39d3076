"""Deleting copies from a store: all but the item to keep of each group, after what is forgotten was written to a file."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from featurestore.catalog.column_writers import CLASSIFY
from featurestore.curation.duplicates import DuplicateGroup, DuplicatesReport
from featurestore.curation.pairs import EXACT, MIRRORED
from featurestore.storage.deleted_file import DeletedItem, fits_csv, new_name, require_new, write_deleted
from featurestore.storage.storage import Storage
from featurestore.system.interrupts import uninterrupted


@dataclass(frozen=True, slots=True)
class Removal:
    """What was deleted."""

    deleted: int
    left: int  # copies that were not deleted: they, or the item to keep, have changed or gone since they were compared
    file: Path | None  # what the store knew of the deleted items; None where none was deleted

    def to_json(self) -> dict[str, Any]:
        return {"deleted": self.deleted, "left": self.left, "file": None if self.file is None else str(self.file)}


def delete_copies(store: Storage, report: DuplicatesReport, out: str | Path | None = None) -> Removal:
    """Delete the exact and near copies of a report from the store; the item to keep of each group stays, and so do mirrored ones.

    Before, path, labels, split and the user's columns of each are written to a new file, .csv or .jsonl, which `index --restore` reads:
    `out`, or one in the current folder that is named after the store. Columns of classifiers are left out. Files of images stay as they
    are. An item is only deleted when it and the one to keep still have the content that was compared. Raises ConfigError, StoreBusy,
    DiskError; then nothing was deleted.
    """
    if out is not None:
        require_new(Path(out))
    groups = [group for group in report.groups if group.kind != MIRRORED]
    catalog = store.catalog
    with store.writing(), uninterrupted():
        written = catalog.columns.writers()
        columns = [name for name in catalog.columns.all() if written.get(name) != CLASSIFY]
        ids = sorted(item.id for group in groups for item in group.items)
        known = catalog.items.described(np.array(ids, np.int64), columns)
        items = list(_unchanged(groups, known))
        left = sum(len(group.items) - 1 for group in groups) - len(items)
        if not items:
            return Removal(0, left, None)
        file = new_name(store.path, fits_csv(items, columns)) if out is None else Path(out)
        place = {item: at for at, item in enumerate(known["id"].to_pylist())}
        write_deleted(file, items, known.take([place[item.id] for item in items]).select(columns))
        catalog.deletions.delete(np.array([item.id for item in items], np.int64))
    return Removal(len(items), left, file)


def _unchanged(groups: list[DuplicateGroup], known: pa.Table) -> Iterator[DeletedItem]:
    """Give the copies that still have the content that was compared, as the item to keep has; known: what the store has of them now."""
    columns = (known[name].to_pylist() for name in ("id", "path", "label", "labels", "split", "sha256"))
    now = {item: others for item, *others in zip(*columns, strict=True)}
    for group in groups:
        kept = now.get(group.keep.id)
        if kept is None or kept[-1] != group.keep.sha256:
            continue
        for item in group.items[1:]:
            found = now.get(item.id)
            if found is not None and found[-1] == item.sha256:
                path, label, labels, split, sha256 = found
                names = labels or ([] if label is None else [label])
                kind = EXACT if sha256 == group.keep.sha256 else group.kind
                yield DeletedItem(path, names, split, item.id, sha256, kept[0], kind, item.score)
