"""Views: lists of ids in an order, each made once and kept for a while, so that items keep their places while labels change."""

import hashlib
import secrets
import threading
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featurestore.catalog import Catalog
from featurestore.gallery.answers import NotFound
from featurestore.sources.lru_cache import LruCache
from featurestore.storage.snapshot import VOLATILE

KEPT_BYTES = 256 << 20  # of ids: 32 views of a million items
LEAST = 4  # views that are kept, however large


@dataclass(frozen=True, slots=True)
class View:
    """The items that fulfil a `where`, in an order, as they were when the view was made."""

    name: str
    ids: NDArray[np.int64]  # (N,)


class Views:
    """The views of a store that were used last."""

    def __init__(self, catalog: Catalog, state: Callable[[], str]) -> None:
        self._catalog, self._state = catalog, state
        self._kept = LruCache[View](KEPT_BYTES, LEAST)
        self._salt = secrets.token_bytes(16)  # a view of an earlier server has another name
        self._making: dict[str, threading.Lock] = {}

    def named(self, name: str) -> View:
        """Give a view by its name. Raises NotFound when it is not kept any more."""
        found = self._kept.get(name)
        if found is None:
            raise NotFound(f"the view {name[:40]!r} is not kept any more; ask for the items again, without a view")
        return found

    def of(self, where: str | None, sort: str, descending: bool) -> View:
        """Give the items as they are now: a view that was made since the last change, or a new one. Raises QueryError."""
        key = repr(
            (self._state(), where, sort, descending, secrets.token_hex(8) if VOLATILE.search(where or "") else "")
        )
        name = "v" + hashlib.blake2b(key.encode(errors="backslashreplace"), key=self._salt, digest_size=8).hexdigest()
        found = self._kept.get(name)
        if found is not None:
            return found
        try:
            with self._making.setdefault(name, threading.Lock()):  # several that ask for the same wait for one answer
                found = self._kept.get(name)
                if found is None:
                    found = View(name, self._catalog.pages.ordered(where, sort, descending))
                    self._kept.put(name, found, found.ids.nbytes)
                return found
        finally:
            self._making.pop(name, None)
