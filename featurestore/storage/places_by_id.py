"""Where items stand in a table that is in memory, found by their ids."""

import numpy as np
from numpy.typing import NDArray

from featurestore.ann.knn_graph import places_in

Ints = NDArray[np.int64]


class PlacesById:
    """The places of N items by their ids, (N,), in any order; no id occurs twice."""

    def __init__(self, ids: Ints) -> None:
        self._order = None if (ids[1:] > ids[:-1]).all() else np.argsort(ids, kind="stable")
        self._ids = ids if self._order is None else ids[self._order]

    def of(self, ids: Ints) -> Ints:
        """Give the places of some items, in the order of `ids`; those that are not there are left out."""
        at = places_in(self._ids, ids)
        at = at[at >= 0]
        return at if self._order is None else self._order[at]
