"""What searches read: items and vectors of an encoder as they were at one moment, kept until the catalog changes."""

import re
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurestore.ann.index_file import open_index
from featurestore.ann.row_filter import RowFilter
from featurestore.ann.search import Index
from featurestore.ann.tuning import IndexCard
from featurestore.catalog import Catalog, Contents, Details, EncoderRecord, IndexRecord
from featurestore.errors import StoreBusy, StoreCorrupt
from featurestore.storage.vectors import VectorFile
from featurestore.system.checksums import FileChecksum

FILTERS_KEPT = 16
READ_WHOLE = 50_000  # items: so many are read in no time
GLANCES = 2  # searches that ask the catalog for their hits alone, before all items are read
ATTEMPTS = 20
CHANGING = re.compile(
    r"now|random|uuid|current|today|transaction|localtime", re.IGNORECASE
)  # what another answer may come of next time


@dataclass(frozen=True, slots=True)
class View:
    """Items and their vectors."""

    items: Contents  # N, ascending by row
    vectors: NDArray[np.float16]  # (rows that count, D), mapped from the file

    def at(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where among the items those of some rows stand."""
        return np.searchsorted(self.items.rows, rows)


T = TypeVar("T", Contents, Details)
Answer = TypeVar("Answer")


def with_vectors(read: Callable[[], T], folder: Path) -> tuple[T, NDArray[np.float16]]:
    """Read from the catalog, and map the vectors of the file that it names. Raises StoreCorrupt when that is missing or too short."""
    found = read()
    try:
        return found, _mapped(found.encoder, folder)
    except StoreCorrupt:
        again = read()
        if again.encoder == found.encoder:
            raise
        return again, _mapped(again.encoder, folder)  # `optimize` had put another file in its place


def _mapped(record: EncoderRecord, folder: Path) -> NDArray[np.float16]:
    return VectorFile(folder / record.file, record.dim).open(record.rows)


class Indexes:
    """The index files of a store, each opened and checked once."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._opened: dict[str, tuple[IndexRecord, Index | str]] = {}

    def open(self, record: IndexRecord, dim: int) -> Index | str:
        """The index, or what is wrong with its file."""
        known = self._opened.get(record.encoder)
        if known is None or known[0] != record:
            seal = FileChecksum(record.bytes, record.sha256)
            found = open_index(self._folder / record.file, seal, IndexCard.from_json(record.card), record.rows, dim)
            known = self._opened[record.encoder] = (record, found)
        return known[1]


class Stale(Exception):
    """The catalog changed while a moment of it was read."""


class Moment:
    """A catalog as it was, read no further than was asked for.

    Of small collections, and of those that are searched again and again, all items are read into memory. A single search of a
    large one asks the catalog for its hits alone.
    """

    def __init__(self, catalog: Catalog, store: Path, indexes: Indexes, state: object) -> None:
        self.state = state
        self.encoders, indexes_told = catalog.encoders_and_indexes()
        self._indexes = {index.encoder: index for index in indexes_told}
        self._catalog, self._folder, self._opened = catalog, store / "vectors", indexes
        self._lock = threading.RLock()
        self._looks = Counter[str]()
        self._views: dict[str, View] = {}
        self._mapped: dict[str, NDArray[np.float16]] = {}
        self._live: dict[str, RowFilter] = {}
        self._filters: dict[tuple[str, str], RowFilter] = {}

    def view(self, encoder: str) -> View:
        """Items and vectors of an encoder, all in memory. Raises StoreCorrupt when the vector file is missing or too short."""
        with self._lock:
            if encoder not in self._views:
                self._views[encoder] = View(*with_vectors(lambda: self._catalog.contents(encoder), self._folder))
            return self._views[encoder]

    def glance(self, record: EncoderRecord) -> bool:
        """Whether a search had better not read all items: there are many, and this is one of the first searches."""
        with self._lock:
            self._looks[record.fingerprint] += 1
            return (
                record.rows > READ_WHOLE
                and self._looks[record.fingerprint] <= GLANCES
                and record.fingerprint not in self._views
            )

    def vectors(self, record: EncoderRecord) -> NDArray[np.float16]:
        """The vectors of an encoder, mapped. Raises StoreCorrupt when the file is missing or too short."""
        with self._lock:
            if record.fingerprint not in self._mapped:
                self._mapped[record.fingerprint] = _mapped(record, self._folder)
            return self._mapped[record.fingerprint]

    def live(self, encoder: str) -> RowFilter:
        """The rows of all items, as `view` has them."""
        with self._lock:
            if encoder not in self._live:
                items = self.view(encoder).items
                whole = len(items.rows) == items.encoder.rows
                self._live[encoder] = RowFilter(items.encoder.rows, None if whole else items.rows)
            return self._live[encoder]

    def allowed(self, record: EncoderRecord, where: str, at_a_glance: bool) -> RowFilter:
        """Rows of the items for which `where` holds. Raises QueryError; at a glance, Stale."""
        key = (record.fingerprint, where)
        found = self._filters.get(key)
        if found is None:
            if at_a_glance:
                rows = self._still(self._catalog.allowed(record.fingerprint, where))
            else:
                items = self.view(record.fingerprint).items
                rows = items.rows[_among(items.ids, self._catalog.choose(where))]
            found = RowFilter(record.rows, rows)
            if not CHANGING.search(where):
                if len(self._filters) >= FILTERS_KEPT:
                    self._filters.clear()
                self._filters[key] = found
        return found

    def hits(self, record: EncoderRecord, rows: NDArray[np.int64]) -> pa.Table:
        """Row, id, path and label of the items that have these rows. Raises Stale."""
        return self._still(self._catalog.hits(record.fingerprint, rows))

    def rows_of(self, record: EncoderRecord, ids: Sequence[int]) -> pa.Table:
        """Id, row and path of items. Raises Stale."""
        return self._still(self._catalog.rows_of(record.fingerprint, np.array(ids, np.int64)))

    def index(self, record: EncoderRecord) -> Index | str | None:
        """The index of an encoder's vectors, what is wrong with it, or None when there is none."""
        known = self._indexes.get(record.fingerprint)
        if known is None or known.vectors != record.file or known.rows > record.rows:
            return None
        with self._lock:
            return self._opened.open(known, record.dim)

    def told(self, record: EncoderRecord) -> dict[str, Any] | None:
        """What there is to say of an encoder's index; None when there is none."""
        known = self._indexes.get(record.fingerprint)
        return None if known is None else {"vectors": known.rows, "bytes": known.bytes, **known.card}

    def _still(self, answer: Answer) -> Answer:
        """What was read belongs to this moment only when the catalog has not changed since."""
        if self._catalog.state() != self.state:
            raise Stale
        return answer


def _among(ids: NDArray[np.int64], chosen: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Which of many ids are among the chosen, by one look each."""
    mask = np.zeros(max(ids.max(initial=0), chosen.max(initial=0)) + 1, bool)
    mask[chosen] = True
    return mask[ids]


class Views:
    """The newest moment of a store: a search that finds the catalog as it was opens no connection."""

    def __init__(self, catalog: Catalog, store: Path) -> None:
        self._catalog, self._store = catalog, store
        self._indexes = Indexes(store / "indexes")
        self._lock = threading.Lock()
        self._newest: Moment | None = None

    def now(self) -> Moment:
        """The catalog as it is now, from memory when it has not changed."""
        with self._lock:
            state = self._catalog.state()
            if self._newest is None or state != self._newest.state:
                self._newest = Moment(self._catalog, self._store, self._indexes, state)
            return self._newest

    def ask(self, question: Callable[[Moment], Answer]) -> Answer:
        """Answer from the newest moment; again when a writer changed the catalog, or put other files in place of those it names, meanwhile."""
        for _ in range(ATTEMPTS):
            moment = self.now()
            try:
                return question(moment)
            except Stale:
                continue
            except StoreCorrupt:
                if self.now() is moment:
                    raise
        raise StoreBusy("the catalog changed each time that it was asked; search again when less is written to it")
