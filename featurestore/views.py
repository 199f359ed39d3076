"""What searches read: items and vectors of an encoder as they were at one moment, kept until the catalog changes."""

import threading
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featurestore.catalog import Catalog, Contents
from featurestore.errors import StoreCorrupt
from featurestore.vectors import VectorFile

FILTERS_KEPT = 64


@dataclass(frozen=True, slots=True)
class View:
    """Items and their vectors."""

    items: Contents  # N, ascending by row
    vectors: NDArray[np.float16]  # (rows that count, D), mapped from the file

    def at(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where among the items those of some rows stand."""
        return np.searchsorted(self.items.rows, rows)


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
        if encoder not in self._views:
            contents = self._catalog.contents(encoder)
            try:
                vectors = self._map(contents)
            except StoreCorrupt:
                again = self._catalog.contents(encoder)
                if again.encoder == contents.encoder:
                    raise
                contents, vectors = again, self._map(again)  # `optimize` had put another file in its place
            self._views[encoder] = View(contents, vectors)
        return self._views[encoder]

    def allowed(self, encoder: str, where: str) -> NDArray[np.int64]:
        """Rows of the items for which `where` holds, ascending. Raises QueryError."""
        if (encoder, where) not in self._filters:
            if len(self._filters) >= FILTERS_KEPT:
                self._filters.clear()
            items = self.view(encoder).items
            self._filters[encoder, where] = items.rows[np.isin(items.ids, self._catalog.choose(where))]
        return self._filters[encoder, where]

    def _map(self, contents: Contents) -> NDArray[np.float16]:
        record = contents.encoder
        return VectorFile(self._folder / record.file, record.dim).open(record.rows)


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
            if self._newest is None or state is None or state != self._newest.state:
                self._newest = Moment(self._catalog, self._folder, state)
            return self._newest
