"""Rewriting a vector file without the rows that nobody needs, into a new file which the catalog then takes for the old, and indexing it."""

import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featurestore.ann.build import build_index
from featurestore.ann.index_file import save_index
from featurestore.ann.search import Index
from featurestore.ann.tuning import worth_indexing
from featurestore.catalog import Catalog, EncoderRecord, IndexRecord
from featurestore.errors import ConfigError, StoreCorrupt
from featurestore.progress import Listener
from featurestore.storage.snapshot import Indexes
from featurestore.storage.vectors import VectorFile
from featurestore.system.checksums import covers
from featurestore.system.disk import create_folder


@dataclass(frozen=True, slots=True)
class IndexBuild:
    """The index over the vectors of one encoder."""

    encoder: str  # its name
    vectors: int
    recall: float  # of the 10 nearest, measured on rows held out
    bytes: int
    built: bool  # False: the one that was there is as it should be


@dataclass(frozen=True, slots=True)
class OptimizeReport:
    """What a run of `optimize` did; counts are rows of vector files."""

    kept: int
    dropped: int
    bytes_before: int  # of the whole store
    bytes_after: int
    indexes: tuple[IndexBuild, ...]  # of encoders with so many vectors that an index is worth it


@dataclass(frozen=True, slots=True)
class IndexWish:
    """What an index is to be like."""

    recall: float = 0.99  # recall@10 against exact search
    memory: int = 2 << 30  # bytes that building it may take

    def __post_init__(self) -> None:
        if not 0 < self.recall <= 1:
            raise ConfigError(f"recall {self.recall:g}: expected a number above 0 and up to 1, such as 0.99")


def optimize(catalog: Catalog, store: Path, wish: IndexWish, listener: Listener) -> OptimizeReport:
    """Leave out the rows of items that changed, vanished or were deleted, in the files of all encoders, compact the catalog, and index large files.

    What runs that were cut off have left is taken away. Its caller is the store's only writer. Raises StoreCorrupt when a
    vector file is damaged, StoreError when an index takes more memory than is allowed, DiskError.
    """
    folder, before = store / "vectors", size(store)
    kept = dropped = 0
    reports = []
    for record in catalog.encoders():
        rows, items = catalog.placed(record.fingerprint)
        kept, dropped = kept + len(rows), dropped + record.rows - len(rows)
        if len(rows) < record.rows:
            listener.start(f"checking the vectors of {record.name}", record.rows)
            _, blocks = catalog.blocks(record.fingerprint)
            file = VectorFile(folder / record.file, record.dim)
            if not covers(blocks, record.rows) or file.damaged(blocks, listener.advance):
                raise StoreCorrupt(
                    f"{file.path}: not what its checksums say; nothing was changed: featurestore verify {store} --repair first"
                )
            record = move_rows(catalog, folder, record, rows, items)
        for unneeded in leftovers(folder, record):
            unneeded.unlink()
        if worth_indexing(record.rows, record.dim):
            reports.append(index_vectors(catalog, store, record, wish, listener))
        else:
            catalog.drop_index(record.fingerprint)
    for unneeded in [*unused_indexes(catalog, store), *(store / "encoders").glob("*.part"), *store.glob("*.part*")]:
        unneeded.unlink()
    catalog.rewrite()
    return OptimizeReport(kept, dropped, before, size(store), tuple(reports))


def index_vectors(
    catalog: Catalog, store: Path, record: EncoderRecord, wish: IndexWish, listener: Listener
) -> IndexBuild:
    """See to it that all vectors of an encoder are in an index such as is wished for: a new file, which the catalog then names."""
    vectors = VectorFile(store / "vectors" / record.file, record.dim).open(record.rows)
    folder, known = store / "indexes", catalog.index_of(record.fingerprint)
    if known is not None and known.vectors == record.file and known.rows == record.rows:
        found = Indexes(folder).open(known, record.dim)
        if isinstance(found, Index) and found.card.target == wish.recall:
            return IndexBuild(record.name, record.rows, found.card.recall, known.bytes, built=False)
    lists, card = build_index(vectors, wish.recall, wish.memory, listener.start, listener.advance)
    generation = known.generation + 1 if known is not None else 1
    name = f"{record.fingerprint[:16]}-{generation}.faiss"
    create_folder(folder)
    seal = save_index(lists, folder / name)
    catalog.publish_index(
        IndexRecord(
            record.fingerprint, generation, name, record.file, record.rows, seal.bytes, seal.sha256, card.to_json()
        )
    )
    return IndexBuild(record.name, record.rows, card.recall, seal.bytes, built=True)


def unused_indexes(catalog: Catalog, store: Path) -> list[Path]:
    """Files in `indexes` that the catalog does not name: those before, and those that were never taken."""
    named = {index.file for index in catalog.indexes()}
    return [path for path in sorted((store / "indexes").glob("*.faiss*")) if path.name not in named]


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
