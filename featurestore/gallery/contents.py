"""Which content an item has and where it lies, remembered for the items that were shown, so that a picture needs no look at the catalog."""

import threading
from dataclasses import dataclass

import numpy as np

from featurestore.catalog import Catalog
from featurestore.gallery.answers import NotFound
from featurestore.sources import ImageFile
from featurestore.sources.lru_cache import LruCache

KEPT = 200_000  # items
MARK = 16  # characters of a content's hash that an address carries


@dataclass(frozen=True, slots=True)
class Content:
    """The content of an item, as the catalog says."""

    sha256: str  # in hexadecimal; empty where it is not known
    file: ImageFile

    @property
    def mark(self) -> str:
        return self.sha256[:MARK]


class Contents:
    """The contents of items by id. What was read is used until an address asks for another content than that."""

    def __init__(self, catalog: Catalog) -> None:
        self._catalog = catalog
        self._kept = LruCache[Content](KEPT)
        self._waiting = threading.Lock()
        self._reading = threading.Lock()
        self._wanted: set[int] = set()

    def of(self, item: int, mark: str | None) -> Content:
        """Give the content of an item; one that is remembered only when it has the mark. Raises NotFound."""
        found = self._kept.get(item)
        if found is not None and found.mark == mark:
            return found
        with self._waiting:
            self._wanted.add(item)
        with self._reading:  # whoever comes first reads for all that have come meanwhile
            with self._waiting:
                wanted, self._wanted = self._wanted, set()
            if wanted:
                self._read(wanted)
        found = self._kept.get(item)
        if found is None:
            raise NotFound(f"item {item}: the store has no such item")
        return found

    def _read(self, wanted: set[int]) -> None:
        for item, path, sha256, size, mtime in self._catalog.pages.places(np.array(sorted(wanted), np.int64)):
            self._kept.put(item, Content(sha256 or "", ImageFile(path, None, None, size, mtime)))
