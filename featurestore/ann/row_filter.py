"""Which rows of a vector file a search may find."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from featurestore.ann.faiss_index import Flat

GATHERED = 4_000_000  # numbers: so few vectors are copied together and searched directly


@dataclass(frozen=True)
class Rows:
    """Some of the `total` rows that a file has, ascending, or all of them. What is made of them is kept."""

    total: int
    chosen: NDArray[np.int64] | None = None  # None: all

    def __len__(self) -> int:
        return self.total if self.chosen is None else len(self.chosen)

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        return np.arange(self.total) if self.chosen is None else self.chosen

    @cached_property
    def bits(self) -> NDArray[np.uint8] | None:
        """One bit for each row of the file, lowest first; None when all are set."""
        if len(self) == self.total:
            return None
        mask = np.zeros(self.total, bool)
        mask[self.chosen] = True
        return np.packbits(mask, bitorder="little")

    def few(self, dim: int) -> bool:
        """Whether they are best searched as a copy of their own."""
        return len(self) < self.total and len(self) * dim <= GATHERED

    def flat(self, vectors: NDArray[np.float16]) -> Flat:
        """A copy of their vectors, to be searched."""
        found: Flat | None = self.__dict__.get("_flat")
        if found is None:
            found = self.__dict__["_flat"] = Flat(np.ascontiguousarray(vectors[self.rows]))
        return found

    def before(self, end: int) -> int:
        """How many lie before a row."""
        return min(end, self.total) if self.chosen is None else int(np.searchsorted(self.chosen, end))

    def behind(self, start: int) -> "Rows":
        """Those from a row on, counted from there."""
        rest = None if self.chosen is None else self.chosen[self.before(start) :] - start
        return Rows(self.total - start, rest)
