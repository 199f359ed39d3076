"""Rewriting a vector file without the rows that nobody needs: into a new file, which the catalog then takes for the old."""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featurestore.blocks import covers
from featurestore.catalog import Catalog, EncoderRecord
from featurestore.errors import StoreCorrupt
from featurestore.progress import Listener
from featurestore.results import OptimizeReport
from featurestore.vectors import VectorFile


def optimize(catalog: Catalog, store: Path, listener: Listener) -> OptimizeReport:
    """Leave out the rows of items that changed, vanished or were deleted, in the files of all encoders, and compact the catalog.

    What runs that were cut off have left is taken away. Its caller is the store's only writer. Raises StoreCorrupt when a
    vector file is damaged, DiskError.
    """
    folder, before = store / "vectors", size(store)
    kept = dropped = 0
    for record in catalog.encoders():
        items = catalog.contents(record.fingerprint)
        kept, dropped = kept + len(items.rows), dropped + record.rows - len(items.rows)
        if len(items.rows) < record.rows:
            listener.start(f"checking the vectors of {record.name}", record.rows)
            _, blocks = catalog.blocks(record.fingerprint)
            file = VectorFile(folder / record.file, record.dim)
            if not covers(blocks, record.rows) or file.damaged(blocks, listener.advance):
                raise StoreCorrupt(
                    f"{file.path}: not what its checksums say; nothing was changed: featurestore verify {store} --repair first"
                )
            record = move_rows(catalog, folder, record, items.rows, items.ids)
        for unneeded in leftovers(folder, record):
            unneeded.unlink()
    for part in [*(store / "encoders").glob("*.part"), *store.glob("*.part*")]:
        part.unlink()
    catalog.rewrite()
    return OptimizeReport(kept, dropped, before, size(store))


def size(folder: Path) -> int:
    """Bytes of all files in a folder, without those that a writer takes away meanwhile."""
    total = 0
    for path in folder.rglob("*"):
        with suppress(FileNotFoundError):
            total += path.stat().st_size if path.is_file() else 0
    return total


def move_rows(
    catalog: Catalog, folder: Path, record: EncoderRecord, rows: NDArray[np.int64], items: NDArray[np.int64]
) -> EncoderRecord:
    """Give an encoder a new vector file with just these rows, ascending, of these items; the old file stays where it is."""
    generation = re.search(r"-(\d+)\.f16$", record.file)
    name = f"{record.fingerprint[:16]}-{int(generation[1]) + 1 if generation else 2}.f16"
    blocks = VectorFile(folder / record.file, record.dim).copy(rows, folder / name)
    catalog.publish_vectors(record.fingerprint, name, rows, items, blocks)
    return replace(record, rows=len(rows), file=name)


def leftovers(folder: Path, record: EncoderRecord) -> Iterator[Path]:
    """Vector files of an encoder that are not the one in use: those before it, and one that was never taken."""
    for path in sorted(folder.glob(f"{record.fingerprint[:16]}*.f16*")):
        if path.name != record.file:
            yield path
