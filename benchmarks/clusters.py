"""Generated unit vectors, distributed like those of photographs: clusters in groups, of very different size and width, low-dimensional inside.

The same on any machine. Shared by the benchmarks of search and evaluation.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

BLOCK = (
    65_536  # rows generated at a time; each block has its own random stream, so that memory does not grow with the rows
)
GROUPS, CLUSTERS = 100, 10_000
FLAT = 40  # dimensions in which a cluster spreads; its group has the same
SPREAD, NOISE = (
    0.8,
    0.3,
)  # lengths against a centre of length 1: in the FLAT dimensions of the median cluster; in all dimensions
UNEVEN = 0.4  # standard deviation of the logarithm of the spread
ZIPF_SHIFT = 10  # the largest cluster has 1.3 % of the rows, the smallest 1 in 70,000
ROWS, QUERIES = 0, 1  # random streams


class Clusters:
    """The distribution for D dimensions; rows and queries are drawn from it independently."""

    def __init__(self, dim: int, seed: int = 0) -> None:
        random = np.random.default_rng([seed, dim])
        self.dim, self.seed, self.flat = dim, seed, min(FLAT, dim)
        self.group = random.integers(0, GROUPS, CLUSTERS)
        groups = unit(random.standard_normal((GROUPS, dim), np.float32))
        self.centres = unit(groups[self.group] + unit(random.standard_normal((CLUSTERS, dim), np.float32)))
        bases = np.linalg.qr(random.standard_normal((GROUPS, dim, self.flat)))[0]
        self.bases = bases.swapaxes(1, 2).astype(np.float32)  # (GROUPS, flat, D), orthonormal
        self.spreads = (SPREAD * np.exp(UNEVEN * random.standard_normal(CLUSTERS))).astype(np.float32)
        shares = 1 / (ZIPF_SHIFT + np.arange(1, CLUSTERS + 1))
        self.shares = shares / shares.sum()

    def rows(self, first: int, end: int) -> Iterator[tuple[NDArray[np.float32], NDArray[np.int64]]]:
        """Yield rows `first` to `end` - 1 in blocks: vectors (n, D) and groups (n,). A row does not depend on the range."""
        for number in range(first // BLOCK, -(-end // BLOCK)):
            start = number * BLOCK
            vectors, groups = self._draw(ROWS, number)
            wanted = slice(max(first - start, 0), end - start)
            yield vectors[wanted], groups[wanted]

    def queries(self, count: int) -> NDArray[np.float32]:
        """Draw up to BLOCK query vectors (count, D), which are not rows."""
        return self._draw(QUERIES, 0)[0][:count]

    def _draw(self, stream: int, number: int) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        random = np.random.default_rng([self.seed, self.dim, stream, number])
        cluster = random.choice(CLUSTERS, BLOCK, p=self.shares)
        groups = self.group[cluster]
        vectors = random.standard_normal((BLOCK, self.dim), np.float32) * np.float32(NOISE / self.dim**0.5)
        vectors += self.centres[cluster]
        within = random.standard_normal((BLOCK, self.flat), np.float32) / np.float32(self.flat**0.5)
        within *= self.spreads[cluster, None]
        for group in range(GROUPS):
            vectors[groups == group] += within[groups == group] @ self.bases[group]
        return unit(vectors), groups


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Scale each row to length 1."""
    return np.asarray(vectors / np.linalg.norm(vectors, axis=-1, keepdims=True), np.float32)
