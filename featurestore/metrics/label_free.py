"""Figures of vectors that need no labels: how many dimensions they use, how evenly they spread, whether two encoders see alike.

None of them says that an encoder is good: each tells of a way in which it can be bad.
"""

import numpy as np
from numpy.typing import NDArray

from featurestore.errors import EvaluationError
from featurestore.metrics.checks import check_finite

BLOCK = 1_024  # rows that are compared with all others at a time
EPSILON = 1e-7  # added to each share of the singular values, as in the paper


def rankme(x: NDArray[np.floating]) -> float:
    """Effective rank: exp of the entropy of the normalised singular values, between 1 and min(N, D).

    x: (N, D). Garrido et al. 2023 (RankMe), equation 1. Raises EvaluationError for values that are no numbers.
    """
    check_finite(x)
    singular = np.linalg.svd(x, compute_uv=False).astype(np.float64)
    share = singular / singular.sum().clip(1e-12) + EPSILON
    return float(np.exp(-(share * np.log(share)).sum()))


def uniformity(x: NDArray[np.floating]) -> float:
    """Log of the mean of exp(-2 |a - b|^2) over all pairs of rows: 0 when all are equal, lower the more evenly they spread.

    x: (N, D), unit length. Wang & Isola 2020, section 4.1. Raises EvaluationError for fewer than two rows and for values that are no numbers.
    """
    check_finite(x)
    if len(x) < 2:
        raise EvaluationError(f"expected at least 2 vectors, a pair, found {len(x)}")
    squares = (x * x).sum(axis=1)  # not quite 1 in vectors that were rounded
    total = 0.0
    for start in range(0, len(x), BLOCK):
        part = slice(start, start + BLOCK)
        apart = np.maximum(squares[part, None] + squares - 2 * (x[part] @ x.T), 0)
        np.fill_diagonal(apart[:, start:], np.inf)  # a row and itself are no pair
        total += float(np.exp(-2 * apart).sum(dtype=np.float64))
    return float(np.log(total / (len(x) * (len(x) - 1))))


def neighbour_agreement(first: NDArray[np.integer], second: NDArray[np.integer]) -> float:
    """Share of the K nearest by one encoder that are among the K nearest by another, mean over queries, in [0, 1].

    first, second: (Q, K), the same items by number, each once a row.
    """
    return float(
        np.mean([len(np.intersect1d(a, b, assume_unique=True)) for a, b in zip(first, second, strict=True)])
        / first.shape[1]
    )


def sample(count: int, most: int, seed: int) -> NDArray[np.int64]:
    """Draw at most `most` of `count` places without replacement, ascending; all of them where there are no more."""
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, most, replace=False))
