"""Rewriting a store without unused rows, and building search indexes."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from featurestore.ann.build import build_index
from featurestore.ann.index_file import save_index
from featurestore.ann.search import Index
from featurestore.ann.tuning import least_rows, worth_indexing
from featurestore.catalog import EncoderRecord, IndexRecord
from featurestore.errors import ConfigError, StoreCorrupt
from featurestore.progress import Listener
from featurestore.storage import Storage
from featurestore.storage.info import size
from featurestore.storage.kept_pairs import forget_pairs
from featurestore.storage.snapshot import OpenIndexes
from featurestore.storage.thumbnails import forget_thumbnails
from featurestore.system.checksums import covers
from featurestore.system.disk import create_folder
from featurestore.system.no_follow import delete_within
from featurestore.system.text import as_argument


@dataclass(frozen=True, slots=True)
class IndexBuild:
    """The index over the vectors of one encoder."""

    encoder: str  # its name
    vectors: int
    recall: float  # recall@10, measured on held-out rows
    bytes: int
    built: bool  # False: the existing index was good already


@dataclass(frozen=True, slots=True)
class TooFewVectors:
    """An encoder whose vectors are searched as fast without an index."""

    encoder: str  # its name
    vectors: int
    least: int  # from how many vectors on an index makes searches faster


@dataclass(frozen=True, slots=True)
class OptimizeReport:
    """The result of `optimize`; counts are rows of vector files."""

    kept: int
    dropped: int
    bytes_before: int  # of the whole store
    bytes_after: int
    indexes: tuple[IndexBuild, ...]  # of encoders with enough vectors for an index
    unindexed: tuple[TooFewVectors, ...]  # the other encoders


def optimize(
    store: Storage, recall: float = 0.99, memory: int = 2 << 30, listener: Listener | None = None
) -> OptimizeReport:
    """Rewrite the store without rows of items that changed, were removed or deleted, compact the catalog, and index large collections.

    Files that stopped runs left are removed. recall: the least recall@10 against exact search that searches by the index should have.
    memory: bytes that building an index may use. Raises StoreCorrupt when a vector file is damaged, StoreError when the memory is too
    small, DiskError when there is no room; then nothing has changed.
    """
    if not 0 < recall <= 1:
        raise ConfigError(f"recall {recall:g}: expected a number above 0 and up to 1, such as 0.99")
    listener = listener or Listener()
    with store.writing():
        return _optimize(store, recall, memory, listener)


def _optimize(store: Storage, recall: float, memory: int, listener: Listener) -> OptimizeReport:
    catalog, layout, before = store.catalog, store.layout, size(store.path)
    kept = dropped = 0
    indexes, unindexed = [], []
    for record in catalog.encoders.all():
        rows, items = catalog.encoded.rows_in_use(record.fingerprint)
        kept, dropped = kept + len(rows), dropped + record.rows - len(rows)
        if len(rows) < record.rows:
            listener.start(f"checking the vectors of {record.name}", record.rows)
            _, blocks = catalog.encoders.blocks(record.fingerprint)
            file = store.vector_file(record)
            if not covers(blocks, record.rows) or file.damaged(blocks, listener.advance):
                raise StoreCorrupt(
                    f"{file.path} does not match its checksums; nothing was changed; repair it first: featurestore verify {as_argument(store.path)} --repair"
                )
            record = copy_rows(store, record, rows, items)
        for path in layout.unused_vector_files(record):
            delete_within(path)
        if worth_indexing(record.rows, record.dim):
            indexes.append(index_vectors(store, record, recall, memory, listener))
        else:
            catalog.indexes.drop(record.fingerprint)
            unindexed.append(TooFewVectors(record.name, record.rows, least_rows(record.dim)))
    encoders = catalog.encoders.all()
    stopped = [*layout.encoder_parts(), *layout.dropped_files(encoders)]
    unused = [*layout.unused_index_files(catalog.indexes.all()), *layout.unused_derived_files(encoders)]
    for path in dict.fromkeys([*unused, *stopped]):
        delete_within(path)
    forget_thumbnails(store)
    forget_pairs(store)
    with store.holding_catalog():
        catalog.rewrite()  # which deletes what stopped runs left of it
    return OptimizeReport(kept, dropped, before, size(store.path), tuple(indexes), tuple(unindexed))


def index_vectors(store: Storage, record: EncoderRecord, recall: float, memory: int, listener: Listener) -> IndexBuild:
    """Build an index over all vectors of an encoder and publish it, unless there is one with that recall."""
    catalog, layout = store.catalog, store.layout
    known = catalog.indexes.of_encoder(record.fingerprint)
    if known is not None and known.vectors == record.file and known.rows == record.rows:
        found = OpenIndexes(layout).open(known, record.dim)
        if isinstance(found, Index) and found.card.target == recall:
            return IndexBuild(record.name, record.rows, found.card.recall, known.bytes, built=False)
    vectors = store.vector_file(record).open(record.rows)
    lists, card = build_index(vectors, recall, memory, listener.start, listener.advance)
    generation = known.generation + 1 if known is not None else 1
    create_folder(layout.indexes)
    path = layout.new_index_file(record.fingerprint, generation)
    checksum = save_index(lists, path)
    catalog.indexes.publish(
        IndexRecord(
            record.fingerprint,
            generation,
            path.name,
            record.file,
            record.rows,
            checksum.bytes,
            checksum.sha256,
            card.to_json(),
        )
    )
    return IndexBuild(record.name, record.rows, card.recall, checksum.bytes, built=True)


def copy_rows(
    store: Storage, record: EncoderRecord, rows: NDArray[np.int64], items: NDArray[np.int64]
) -> EncoderRecord:
    """Publish a new vector file of an encoder with only these rows, ascending, of these items; the old file stays."""
    path = store.layout.next_vector_file(record)
    blocks = store.vector_file(record).copy(rows, path)
    store.catalog.encoders.publish_vectors(record.fingerprint, path.name, rows, items, blocks)
    return replace(record, rows=len(rows), file=path.name)
