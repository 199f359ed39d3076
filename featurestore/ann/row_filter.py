"""The filter of a search: which rows of a vector file it may find."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from featurestore.ann.faiss_index import FlatIndex

GATHERED = 4_000_000  # numbers in the vectors: up to so many are copied and searched exactly


@dataclass(frozen=True)
class RowFilter:
    """Some of the `total` rows of a file, ascending, or all of them. What is computed from them is cached."""

    total: int
    chosen: NDArray[np.int64] | None = None  # None: all

    def __len__(self) -> int:
        return self.total if self.chosen is None else len(self.chosen)

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        return np.arange(self.total) if self.chosen is None else self.chosen

    @cached_property
    def bits(self) -> NDArray[np.uint8] | None:
        """A mask with one bit for each row of the file, lowest first; None when all are set."""
        if len(self) == self.total:
            return None
        mask = np.zeros(self.total, bool)
        mask[self.chosen] = True
        return np.packbits(mask, bitorder="little")

    def is_small(self, dim: int) -> bool:
        """Whether a copy of the rows is searched faster than the file with a mask."""
        return len(self) < self.total and len(self) * dim <= GATHERED

    def flat_index(self, vectors: NDArray[np.float16]) -> FlatIndex:
        """Make an index of a copy of the rows' vectors."""
        found: FlatIndex | None = self.__dict__.get("_flat_index")
        if found is None:
            found = self.__dict__["_flat_index"] = FlatIndex(np.ascontiguousarray(vectors[self.rows]))
        return found

    def count_before(self, end: int) -> int:
        """Count the rows before a row."""
        return min(end, self.total) if self.chosen is None else int(np.searchsorted(self.chosen, end))

    def from_row(self, start: int) -> "RowFilter":
        """Get the filter of the rows from a row on, counted from there."""
        rest = None if self.chosen is None else self.chosen[self.count_before(start) :] - start
        return RowFilter(self.total - start, rest)
