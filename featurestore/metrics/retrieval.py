"""Retrieval by label: whether what lies nearest to a query has its label, and all of it comes before the rest.

Every vector of the bank is ranked for every query, by score; equal scores by place. Class-based, as in deep metric learning (Oh Song et al.
2016; Musgrave et al. 2020); mean average precision as in Manning, Raghavan and Schütze, *Introduction to Information Retrieval*, 8.4.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featurestore.errors import EvaluationError
from featurestore.metrics.checks import check_finite

RANKED = 4_000_000  # scores that are ranked together
LAST = np.uint64(2**64 - 2)  # the key of what is left out: behind all others, and no match


@dataclass(frozen=True, slots=True)
class RetrievalResult:
    """Means over the queries that have a match in the bank: fractions in [0, 1]."""

    map: float
    recall: dict[int, float]  # by k: the share of queries with a match among the first k
    precision: dict[int, float]  # by k: the mean share of matches among the first k
    queries_without_match: int  # left out of the means


def evaluate(
    queries: NDArray[np.float32],
    bank: NDArray[np.float32],
    query_labels: NDArray[np.integer],
    bank_labels: NDArray[np.integer],
    own: NDArray[np.integer] | None = None,
    ks: Sequence[int] = (1, 5, 10),
    advance: Callable[[int], object] = lambda count: None,
) -> RetrievalResult:
    """Rank the bank (N, D) for each query (Q, D), all of unit length; a match is what has the query's label.

    own: (Q,), the place in the bank of the query itself, which is left out. Memory beside the arrays: some 100 MB, or 30 bytes for each of
    the bank when that is more. Raises EvaluationError when a k is not in [1, N], no query has a match, or a vector holds NaN.
    """
    check_finite(queries, bank)
    most = len(bank) - (own is not None)
    if not ks or min(ks) < 1 or max(ks) > most:
        raise EvaluationError(
            f"k = {', '.join(map(str, ks)) or 'none'}: expected between 1 and {most}, the number of vectors to be found"
        )
    step = max(1, RANKED // len(bank))
    figures = []
    for start in range(0, len(queries), step):
        part = slice(start, start + step)
        matches = _ranked(
            queries[part] @ bank.T, query_labels[part, None] == bank_labels, None if own is None else own[part]
        )
        figures.append(_figures(matches, ks))
        advance(len(matches))
    found = np.concatenate(figures)  # (Q, 1 + 2 x number of ks), NaN in the first column where there is no match
    matched = ~np.isnan(found[:, 0])
    if not matched.any():
        raise EvaluationError(
            "no query has a match: expected some class with two items or more, one to ask and one to be found"
        )
    means = found[matched].mean(axis=0).tolist()
    recall, precision = means[1 : 1 + len(ks)], means[1 + len(ks) :]
    return RetrievalResult(
        means[0], dict(zip(ks, recall, strict=True)), dict(zip(ks, precision, strict=True)), int((~matched).sum())
    )


def _ranked(
    scores: NDArray[np.float32], match: NDArray[np.bool_], own: NDArray[np.integer] | None
) -> NDArray[np.bool_]:
    """Order each line of `match` (B, N) by its scores, best first, equal ones by place; what is a query's own goes last, as no match.

    Score, place and match are packed into one whole number, which sorts several times as fast as numpy orders two arrays.
    """
    bits = (scores + np.float32(0)).view(np.uint32)  # adding makes -0 to 0
    descending = np.where(bits >> 31, bits, ~bits & np.uint32(0x7FFFFFFF))
    keys = descending.astype(np.uint64)
    keys <<= np.uint64(32)
    keys |= np.arange(scores.shape[1], dtype=np.uint64) << np.uint64(1)
    keys |= match
    if own is not None:
        keys[np.arange(len(keys)), own] = LAST
    keys.sort(axis=1)
    return (keys & np.uint64(1)).astype(bool)


def _figures(matches: NDArray[np.bool_], ks: Sequence[int]) -> NDArray[np.float64]:
    """Average precision (NaN without a match), then whether there is one among the first k, then their share: (B, 1 + 2 x number of ks)."""
    query, place = np.nonzero(matches)
    total = np.bincount(query, minlength=len(matches))
    before = np.arange(len(query)) - np.repeat(np.cumsum(total) - total, total)  # matches that come earlier
    with np.errstate(invalid="ignore"):
        average = np.bincount(query, (before + 1) / (place + 1), minlength=len(matches)) / total
    first = [matches[:, :k].sum(axis=1) for k in ks]
    return np.stack([average, *(n > 0 for n in first), *(n / k for n, k in zip(first, ks, strict=True))], axis=1)
