"""Measures without labels: dimensions in use (RankMe), uniformity, and agreement of the neighbours of two encoders.

They cannot show that an encoder is good; each shows one way in which it can be bad.
"""

import numpy as np
from numpy.typing import NDArray

from featurestore.errors import EvaluationError
from featurestore.metrics.checks import check_finite

BLOCK = 1_024  # rows compared with all others in one matrix product
EPSILON = 1e-7  # added to each share of the singular values, as in the paper


def rankme(x: NDArray[np.floating]) -> float:
    """Compute the effective rank: exp of the entropy of the normalised singular values, between 1 and min(N, D).

    x: (N, D). Garrido et al. 2023 (RankMe), equation 1. Raises EvaluationError for NaN or infinity.
    """
    check_finite(x)
    singular = np.linalg.svd(x, compute_uv=False).astype(np.float64)
    share = singular / singular.sum().clip(1e-12) + EPSILON
    return float(np.exp(-(share * np.log(share)).sum()))


def uniformity(x: NDArray[np.floating], block: int = BLOCK) -> float:
    """Compute the log of the mean of exp(-2 |a - b|^2) over all pairs of rows: 0 when all are equal, lower when spread more evenly.

    x: (N, D), unit length. Wang & Isola 2020, section 4.1. Raises EvaluationError for fewer than two rows, NaN or infinity.
    """
    check_finite(x)
    if len(x) < 2:
        raise EvaluationError(f"expected at least 2 vectors, found {len(x)}")
    squares = (x * x).sum(axis=1)  # not exactly 1 for rounded vectors
    total = 0.0
    for start in range(0, len(x), block):
        part = slice(start, start + block)
        distances = np.maximum(squares[part, None] + squares - 2 * (x[part] @ x.T), 0)
        np.fill_diagonal(distances[:, start:], np.inf)  # a row is not paired with itself
        total += float(np.exp(-2 * distances).sum(dtype=np.float64))
    return float(np.log(total / (len(x) * (len(x) - 1))))


def neighbour_agreement(first: NDArray[np.integer], second: NDArray[np.integer]) -> float:
    """Compute the share of the K neighbours by one encoder that are also neighbours by another, mean over queries, in [0, 1].

    first, second: (Q, K), item numbers, without repetition in a row.
    """
    return float(
        np.mean([len(np.intersect1d(a, b, assume_unique=True)) for a, b in zip(first, second, strict=True)])
        / first.shape[1]
    )


def sample(count: int, most: int, seed: int) -> NDArray[np.int64]:
    """Draw at most `most` of `count` indices without replacement, ascending; all of them when there are no more."""
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, most, replace=False))
