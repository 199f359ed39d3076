"""What a store holds, in numbers, and what it could not take."""

import stat
from contextlib import suppress
from pathlib import Path
from typing import Any

from featurestore.catalog import ClassifierRecord
from featurestore.sources import Failure
from featurestore.storage.storage import Storage

CARD = ("method", "backbone", "branch", "trained_on", "preprocess")  # parts of an encoder's card that are shown


def info(store: Storage) -> dict[str, Any]:
    """Give counts, labels, splits, encoders, classifiers and the size of the store."""
    snapshot = store.snapshots.now()
    encoders = [
        {
            "name": record.name,
            "default": record == snapshot.encoders[0],
            "fingerprint": record.fingerprint,
            "dim": record.dim,
            "vectors": len(snapshot.item_vectors(record.fingerprint).items.rows),
            "rows": record.rows,
            "index": snapshot.index_info(record),
            **{key: record.card[key] for key in CARD},
            "whitening": record.card.get("whitening"),
        }
        for record in snapshot.encoders
    ]
    return {
        "store": str(store.path),
        **store.catalog.items.counts(),
        "written_columns": store.catalog.columns.writers(),
        "sources": list(store.catalog.sources.all()),
        "encoders": encoders,
        "classifiers": [_classifier(record) for record in store.catalog.classifiers.all()],
        "bytes": size(store.path),
    }


def failures(store: Storage) -> list[Failure]:
    """List every file that could not be used, with the reason."""
    return [Failure(path, reason) for path, reason, _ in store.catalog.items.failures()]


def _classifier(record: ClassifierRecord) -> dict[str, Any]:
    figures = record.card.get("figures", {})
    return {
        "name": record.name, "encoder": record.encoder, "method": record.method, "damaged": not record.intact,
        "classes": record.card.get("classes", []), "n_train": figures.get("n_train"), "top1": figures.get("top1"),
        "top1_ci95": figures.get("top1_ci95"), "trained_at": record.trained_at, "applied_at": record.applied_at,
    }  # fmt: skip


def size(folder: Path) -> int:
    """Sum up the bytes of all files in a folder; files that a writer removes meanwhile are left out."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            found = path.lstat()
            total += found.st_size if stat.S_ISREG(found.st_mode) else 0
    return total
