"""What searches read: items and vectors of an encoder as they were at one moment, kept until the catalog changes."""

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from featurestore.catalog import Catalog, Contents, Details
from featurestore.errors import StoreCorrupt
from featurestore.vectors import VectorFile

FILTERS_KEPT = 64
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


def with_vectors(read: Callable[[], T], folder: Path) -> tuple[T, NDArray[np.float16]]:
    """Read from the catalog, and map the vectors of the file that it names. Raises StoreCorrupt when that is missing or too short."""

    def mapped(found: T) -> NDArray[np.float16]:
        return VectorFile(folder / found.encoder.file, found.encoder.dim).open(found.encoder.rows)

    found = read()
    try:
        return found, mapped(found)
    except StoreCorrupt:
        again = read()
        if again.encoder == found.encoder:
            raise
        return again, mapped(again)  # `optimize` had put another file in its place


class Moment:
    """A catalog as it was, read no further than was asked for."""

    def __init__(self, catalog: Catalog, folder: Path, state: object) -> None:
        self.state = state
        self.encoders = catalog.encoders()
        self._catalog, self._folder = catalog, folder
        self._views: dict[str, View] = {}
        self._filters: dict[tuple[str, str], NDArray[np.int64]] = {}

    def view(self, encoder: str) -> View:
        """Items and vectors of an encoder. Raises StoreCorrupt when the vector file is missing or too short."""
        view = self._views.get(encoder)
        if view is None:
            view = View(*with_vectors(lambda: self._catalog.contents(encoder), self._folder))
            self._views[encoder] = view
        return view

    def allowed(self, encoder: str, where: str) -> NDArray[np.int64]:
        """Rows of the items for which `where` holds, ascending. Raises QueryError."""
        rows = self._filters.get((encoder, where))
        if rows is None:
            items = self.view(encoder).items
            rows = items.rows[np.isin(items.ids, self._catalog.choose(where))]
            if not CHANGING.search(where):
                if len(self._filters) >= FILTERS_KEPT:
                    self._filters.clear()
                self._filters[encoder, where] = rows
        return rows


class Views:
    """The newest moment of a store: a search that finds the catalog as it was opens no connection."""

    def __init__(self, catalog: Catalog, folder: Path) -> None:
        self._catalog, self._folder = catalog, folder
        self._lock = threading.Lock()
        self._newest: Moment | None = None

    def now(self) -> Moment:
        """The catalog as it is now, from memory when it has not changed."""
        with self._lock:
            state = self._catalog.state()
            if self._newest is None or state != self._newest.state:
                self._newest = Moment(self._catalog, self._folder, state)
            return self._newest
