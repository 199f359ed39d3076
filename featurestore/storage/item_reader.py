"""How a search reads items: all of them in memory, or only those it needs from the catalog. Both give the same answers."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurestore.ann.row_filter import RowFilter
from featurestore.catalog import Catalog, EncoderRecord, ItemTable
from featurestore.storage.places_by_id import PlacesById

Answer = TypeVar("Answer")
FEW = 200  # values that are read one by one


class Stale(Exception):
    """The catalog changed while a snapshot of it was read."""


@dataclass(frozen=True, slots=True)
class FoundItems:
    """Some items: all columns have the same length."""

    rows: NDArray[np.int64]
    ids: NDArray[np.int64]
    paths: pa.Array | pa.ChunkedArray
    labels: pa.Array | pa.ChunkedArray
    label_lists: pa.Array | pa.ChunkedArray  # of items with several labels


class ItemReader(ABC):
    """The items of one encoder, as a search needs them."""

    catalog: Catalog
    record: EncoderRecord
    vectors: NDArray[np.float16]  # (committed rows, D), mapped
    may_include_removed: bool  # `all_rows` may hold rows whose items are gone

    @abstractmethod
    def all_rows(self) -> RowFilter:
        """Give the rows that a search without a filter looks at."""

    @abstractmethod
    def rows_where(self, where: str) -> NDArray[np.int64]:
        """Give the rows, ascending, of the items for which an SQL expression holds. Raises QueryError, Stale."""

    @abstractmethod
    def at_rows(self, rows: NDArray[np.int64]) -> FoundItems:
        """Give items, ascending by row, among them those in `rows` (unique) that exist. Raises Stale."""

    @abstractmethod
    def by_id(self, ids: Sequence[int]) -> FoundItems:
        """Give items by their ids, in any order; those without a vector are left out. Raises Stale."""

    @abstractmethod
    def ids_at(self, paths: Sequence[str]) -> dict[str, int]:
        """Give the ids of the items at some paths, by path; those without a vector are left out. Raises Stale."""


class LoadedItems(ItemReader):
    """All items in memory: fast for many searches."""

    may_include_removed = False

    def __init__(self, catalog: Catalog, items: ItemTable, vectors: NDArray[np.float16]) -> None:
        self.record, self.vectors = items.encoder, vectors
        self.catalog, self._items = catalog, items
        self._found = FoundItems(items.rows, items.ids, items.paths, items.labels, items.label_lists)

    def all_rows(self) -> RowFilter:
        return self._rows

    @cached_property
    def _rows(self) -> RowFilter:
        total = self.record.rows
        return RowFilter(total, None if len(self._items.rows) == total else self._items.rows)

    def rows_where(self, where: str) -> NDArray[np.int64]:
        return self._items.rows[np.isin(self._items.ids, self.catalog.items.select(where))]

    def at_rows(self, rows: NDArray[np.int64]) -> FoundItems:
        return self._found

    def by_id(self, ids: Sequence[int]) -> FoundItems:
        items, places = self._items, np.sort(self._places.of(np.unique(np.array(ids, np.int64))))
        texts = (
            pa.array(values_at(column, places), column.type)
            for column in (items.paths, items.labels, items.label_lists)
        )
        return FoundItems(items.rows[places], items.ids[places], *texts)

    @cached_property
    def _places(self) -> PlacesById:
        return PlacesById(self._items.ids)

    def ids_at(self, paths: Sequence[str]) -> dict[str, int]:
        import pyarrow.compute as pc  # slow to import, and most searches do without

        items = self._items
        places = np.flatnonzero(pc.is_in(items.paths, pa.array(paths, items.paths.type)).to_numpy(zero_copy_only=False))
        return dict(zip(items.paths.take(places).to_pylist(), items.ids[places].tolist(), strict=True))


class CatalogItems(ItemReader):
    """Only the items that a search needs: fast for one search of a large collection."""

    may_include_removed = True

    def __init__(
        self, catalog: Catalog, record: EncoderRecord, vectors: NDArray[np.float16], is_current: Callable[[], bool]
    ) -> None:
        self.record, self.vectors = record, vectors
        self.catalog, self._is_current = catalog, is_current

    def all_rows(self) -> RowFilter:
        return RowFilter(self.record.rows)

    def rows_where(self, where: str) -> NDArray[np.int64]:
        return self._current(self.catalog.encoded.select_rows(self.record.fingerprint, where))

    def at_rows(self, rows: NDArray[np.int64]) -> FoundItems:
        return _found(self._current(self.catalog.encoded.at_rows(self.record.fingerprint, rows)))

    def by_id(self, ids: Sequence[int]) -> FoundItems:
        return _found(self._current(self.catalog.encoded.by_id(self.record.fingerprint, np.array(ids, np.int64))))

    def ids_at(self, paths: Sequence[str]) -> dict[str, int]:
        return self._current(self.catalog.encoded.ids_at(self.record.fingerprint, paths))

    def _current(self, answer: Answer) -> Answer:
        """Pass on what was read, unless the catalog changed meanwhile: then it does not belong to the snapshot."""
        if not self._is_current():
            raise Stale
        return answer


def values_at(column: pa.Array | pa.ChunkedArray, places: NDArray[np.int64]) -> list[Any]:
    """Give the values at some places. A few are read one by one, without pyarrow.compute, which takes 50 ms to load."""
    if len(places) > FEW:
        values: list[Any] = column.take(pa.array(places)).to_pylist()  # the form in which Arrow is fastest
        return values
    return [column[place].as_py() for place in places.tolist()]


def _found(table: pa.Table) -> FoundItems:
    rows, ids = table["row"].to_numpy(), table["id"].to_numpy()
    return FoundItems(rows, ids, table["path"], table["label"], table["labels"])
