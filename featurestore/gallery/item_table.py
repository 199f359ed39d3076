"""All items in memory, as pages show them: read in the background when the catalog has changed, so that a page needs no look at it."""

import threading
import time
from collections.abc import Callable

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurestore.errors import FeatureStoreError
from featurestore.storage.places_by_id import PlacesById

MOST_BYTES = 1 << 30  # of the table; a store that needs more is read from its catalog
CALM_SECONDS = 1.0  # for which the catalog must stay as it is before it is read again
SHORTEST_BREAK = 5.0  # seconds between two readings, or ten times as long as one took

STEP_SECONDS = 0.05  # between two looks whether the program ends


class ItemTable:
    """Columns of all items."""

    def __init__(self, table: pa.Table) -> None:
        self._table, self._places = table, PlacesById(table["id"].to_numpy())

    def rows(self, ids: NDArray[np.int64]) -> pa.Table:
        """Give the rows of some items, in any order; those that do not exist are left out."""
        return self._table.take(pa.array(self._places.of(ids)))


class FreshItems:
    """The table of the items as they are now, when it is in memory."""

    def __init__(self, state: Callable[[], str], read: Callable[[int], pa.Table | None]) -> None:
        self._state, self._read = state, read
        self._lock = threading.Lock()
        self._known: tuple[str, ItemTable | None] = "", None
        self._reading = False
        self._next = 0.0  # time.monotonic() from which on it may be read again
        self.after_reading: Callable[[], None] = lambda: None

    def now(self) -> ItemTable | None:
        """Give the table; None while it is not that of now, and then begin to read it."""
        state, table = self._known
        if state == self._state():
            return table
        with self._lock:
            if not self._reading:
                self._reading = True
                threading.Thread(target=self._refresh, name="read items").start()
        return None

    def _refresh(self) -> None:
        try:
            pause(self._next - time.monotonic())
            state = self._state()
            while self._known[0] and (later := self._later()) != state:
                state = later
            began = time.monotonic()
            self._known = state, self._table()
            self.after_reading()
            self._next = time.monotonic() + max(SHORTEST_BREAK, 10 * (time.monotonic() - began))
        finally:
            self._reading = False

    def _table(self) -> ItemTable | None:
        try:
            table = self._read(MOST_BYTES)
        except FeatureStoreError:  # whoever asks the catalog gets the error
            return None
        return None if table is None else ItemTable(table)

    def _later(self) -> str:
        pause(CALM_SECONDS)
        return self._state()


def pause(seconds: float) -> None:
    """Wait in a thread. When the program ends, so does the thread: one that was cut off in the midst of C++ would end it with an abort."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if not threading.main_thread().is_alive():
            raise SystemExit
        time.sleep(min(left, STEP_SECONDS))
