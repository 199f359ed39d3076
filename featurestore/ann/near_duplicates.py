"""Near-duplicates among hits: only the best of each group stays."""

import numpy as np
from numpy.typing import NDArray

from featurestore.ann.normalize import unit_rows
from featurestore.errors import QueryError

DUPLICATE = 0.97  # score from which two images count as near-duplicates
ROUNDING = 1e-6  # of a float32 dot product of two unit vectors
BLOCK = 256  # hits compared with the better ones in one matrix product


def drop_near_duplicates(
    vectors: NDArray[np.floating], threshold: float = DUPLICATE, block_size: int = BLOCK
) -> NDArray[np.int64]:
    """Choose the hits that stay when near-duplicates of better hits are dropped: indices, ascending.

    vectors: (n, D), best hit first. Greedy: a hit is dropped when its cosine with a better hit that stays is at least `threshold`.
    Raises QueryError when the threshold is not above 0 and at most 1.
    """
    if not 0 < threshold <= 1:
        raise QueryError(f"unique {threshold}: expected a score above 0 and at most 1, such as {DUPLICATE}")
    x = unit_rows(vectors)
    limit = threshold - ROUNDING
    chosen = np.empty_like(x)  # the vectors of the hits that stay, in a row
    stay: list[int] = []
    for start in range(0, len(x), block_size):
        block = x[start : start + block_size]
        dropped = np.any(chosen[: len(stay)] @ block.T >= limit, axis=0)
        similar = block @ block.T >= limit
        for n in range(len(block)):
            if not dropped[n]:
                chosen[len(stay)] = block[n]
                stay.append(start + n)
                dropped[n + 1 :] |= similar[n, n + 1 :]
    return np.array(stay, np.int64)
