"""Near-duplicates among hits, folded into the best of them."""

import numpy as np
from numpy.typing import NDArray

from featurestore.ann.normalize import unit_rows
from featurestore.errors import QueryError

DUPLICATE = 0.97  # the score from which on two images count as nearly the same
ROUNDING = 1e-6  # of a float32 dot product of two unit vectors
BLOCK = 256  # hits that are compared with the kept ones in one matrix product


def fold(vectors: NDArray[np.floating], threshold: float = DUPLICATE) -> NDArray[np.int64]:
    """Say which hits stay when near-duplicates are folded: positions, ascending.

    vectors: (n, D), best hit first. Greedy: a hit goes when its cosine with one that stays and is better is at least `threshold`.
    Raises QueryError when the threshold is not above 0 and at most 1.
    """
    if not 0 < threshold <= 1:
        raise QueryError(f"unique {threshold}: expected a score above 0 and at most 1, such as {DUPLICATE}")
    x = unit_rows(vectors)
    limit = threshold - ROUNDING
    staying = np.empty_like(x)  # rows of those that stay, one behind the other
    kept: list[int] = []
    for start in range(0, len(x), BLOCK):
        block = x[start : start + BLOCK]
        better = staying[: len(kept)]
        gone = np.any(better @ block.T >= limit, axis=0)
        among = block @ block.T >= limit
        for n in range(len(block)):
            if not gone[n]:
                staying[len(kept)] = block[n]
                kept.append(start + n)
                gone[n + 1 :] |= among[n, n + 1 :]
    return np.array(kept, np.int64)
