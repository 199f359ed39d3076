"""Snapshots: a catalog with its vectors and indexes as they were at one time, used again until the catalog changes."""

import re
import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from featurestore.ann.index_file import open_index
from featurestore.ann.row_filter import RowFilter
from featurestore.ann.search import Index
from featurestore.ann.tuning import IndexCard
from featurestore.catalog import Catalog, EncoderRecord, IndexRecord, ItemDetails, ItemTable
from featurestore.errors import StoreBusy, StoreCorrupt
from featurestore.storage.item_reader import CatalogItems, ItemReader, LoadedItems, Stale
from featurestore.storage.layout import Layout
from featurestore.storage.vectors import VectorFile
from featurestore.system.checksums import FileChecksum

CACHED_FILTERS = 16
SMALL = 50_000  # items: so many are loaded in no time
FIRST_SEARCHES = 2  # of a large collection that read single items from the catalog, before all items are loaded
ATTEMPTS = 20
# Words of a `where` whose answer may be another one next time.
VOLATILE = re.compile(r"now|random|uuid|current|today|transaction|localtime", re.IGNORECASE)

T = TypeVar("T", ItemTable, ItemDetails)
Answer = TypeVar("Answer")


@dataclass(frozen=True, slots=True)
class ItemVectors:
    """The items of one encoder, and its vectors."""

    items: ItemTable  # N, ascending by row
    vectors: NDArray[np.float16]  # (committed rows, D), mapped from the file

    def positions(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Give the positions among the items of those in some rows."""
        return np.searchsorted(self.items.rows, rows)


def with_vectors(read: Callable[[], T], layout: Layout) -> tuple[T, NDArray[np.float16]]:
    """Read from the catalog, and map the vector file that it names. Raises StoreCorrupt when the file is missing or too short."""
    found = read()
    try:
        return found, map_vectors(found.encoder, layout)
    except StoreCorrupt:
        again = read()
        if again.encoder == found.encoder:
            raise
        return again, map_vectors(again.encoder, layout)  # `optimize` had published another file


def map_vectors(record: EncoderRecord, layout: Layout) -> NDArray[np.float16]:
    """Map the committed rows of an encoder's vector file. Raises StoreCorrupt when the file is missing or too short."""
    return VectorFile(layout.vector_file(record), record.dim).open(record.rows)


def _card(record: IndexRecord) -> IndexCard | None:
    """Read the card of an index; None when it makes no sense."""
    try:
        return IndexCard.from_json(record.card)
    except (KeyError, TypeError, ValueError):
        return None


class OpenIndexes:
    """The index files of a store, each opened and checked once."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._opened: dict[str, tuple[IndexRecord, Index | str]] = {}

    def open(self, record: IndexRecord, dim: int) -> Index | str:
        """Open an index; gives what is wrong with its file, in words, when it cannot be used."""
        known = self._opened.get(record.encoder)
        if known is None or known[0] != record:
            known = self._opened[record.encoder] = (record, self._open(record, dim))
        return known[1]

    def _open(self, record: IndexRecord, dim: int) -> Index | str:
        card = _card(record)
        if card is None:
            return "has a card that makes no sense"
        checksum = FileChecksum(record.bytes, record.sha256)
        return open_index(self._layout.index_file(record), checksum, card, record.rows, dim)


class Snapshot:
    """A catalog as it was at one time; each part is read when it is first needed."""

    def __init__(self, catalog: Catalog, layout: Layout, indexes: OpenIndexes, state: object) -> None:
        self.state = state
        self.encoders, index_records = catalog.indexes.with_encoders()
        self._index_records = {index.encoder: index for index in index_records}
        self._catalog, self._layout, self._open_indexes = catalog, layout, indexes
        self._lock = threading.RLock()
        self._searches = Counter[str]()
        self._item_vectors: dict[str, ItemVectors] = {}
        self._filters: dict[tuple[str, str], RowFilter] = {}
        self._twins: tuple[NDArray[np.int64], NDArray[np.int64]] | None = None
        self._readers: dict[tuple[str, bool], ItemReader] = {}

    def item_vectors(self, encoder: str) -> ItemVectors:
        """Load the items of an encoder into memory, and map its vectors. Raises StoreCorrupt when the vector file is missing or too short."""
        with self._lock:
            if encoder not in self._item_vectors:
                loaded = with_vectors(lambda: self._catalog.encoded.of_encoder(encoder), self._layout)
                self._item_vectors[encoder] = ItemVectors(*loaded)
            return self._item_vectors[encoder]

    def twins(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Give the ids, ascending, of items with the content of another one, and for each a number of the content."""
        with self._lock:
            if self._twins is None:
                self._twins = self._catalog.items.twins()
            return self._twins

    def reader(self, record: EncoderRecord, load: bool = False) -> ItemReader:
        """Choose how a search reads items: from memory, or from the catalog for the first searches of a large collection.

        Loading a million items takes longer than one search. load: from memory in any case. Raises StoreCorrupt.
        """
        fingerprint = record.fingerprint
        with self._lock:
            if not load:
                self._searches[fingerprint] += 1
                load = (
                    record.rows <= SMALL
                    or self._searches[fingerprint] > FIRST_SEARCHES
                    or fingerprint in self._item_vectors
                )
            if (fingerprint, load) not in self._readers:
                self._readers[fingerprint, load] = self._loaded(record) if load else self._unloaded(record)
            return self._readers[fingerprint, load]

    def _loaded(self, record: EncoderRecord) -> ItemReader:
        loaded = self.item_vectors(record.fingerprint)
        return LoadedItems(self._catalog, loaded.items, loaded.vectors)

    def _unloaded(self, record: EncoderRecord) -> ItemReader:
        return CatalogItems(self._catalog, record, map_vectors(record, self._layout), self._is_current)

    def filter(self, reader: ItemReader, where: str | None) -> RowFilter:
        """Turn a `where` into the rows that a search may find. Raises QueryError, Stale."""
        if where is None:
            return reader.all_rows()
        key = (reader.record.fingerprint, where)
        found = self._filters.get(key)
        if found is None:
            found = RowFilter(reader.record.rows, reader.rows_where(where))
            if not VOLATILE.search(where):
                if len(self._filters) >= CACHED_FILTERS:
                    self._filters.clear()
                self._filters[key] = found
        return found

    def index(self, record: EncoderRecord) -> Index | str | None:
        """Give the index of an encoder's vectors, what is wrong with it in words, or None when there is none."""
        known = self._index_records.get(record.fingerprint)
        if known is None or known.vectors != record.file or known.rows > record.rows:
            return None
        with self._lock:
            return self._open_indexes.open(known, record.dim)

    def index_info(self, record: EncoderRecord) -> dict[str, Any] | None:
        """Describe the index of an encoder; None when there is none, or none that can be used."""
        known = self._index_records.get(record.fingerprint)
        card = None if known is None else _card(known)
        return (
            None if known is None or card is None else {"vectors": known.rows, "bytes": known.bytes, **card.to_json()}
        )

    def _is_current(self) -> bool:
        """Whether the catalog has not changed since."""
        return self._catalog.state() == self.state


class Snapshots:
    """Gives the newest snapshot of a store: a search that finds the catalog unchanged opens no connection."""

    def __init__(self, catalog: Catalog, layout: Layout) -> None:
        self._catalog, self._layout = catalog, layout
        self._indexes = OpenIndexes(layout)
        self._lock = threading.Lock()
        self._newest: Snapshot | None = None

    def now(self) -> Snapshot:
        """Give the catalog as it is now; the last snapshot when nothing has changed."""
        with self._lock:
            state = self._catalog.state()
            if self._newest is None or state != self._newest.state:
                self._newest = Snapshot(self._catalog, self._layout, self._indexes, state)
            return self._newest

    def answer(self, question: Callable[[Snapshot], Answer]) -> Answer:
        """Answer from the newest snapshot; again when a writer changed the catalog or replaced files meanwhile. Raises StoreBusy."""
        for _ in range(ATTEMPTS):
            snapshot = self.now()
            try:
                return question(snapshot)
            except Stale:
                continue
            except StoreCorrupt:
                if self.now() is snapshot:
                    raise
        raise StoreBusy(
            "the catalog changed during each of the attempts; search again when less is being written to it"
        )
