"""Retrieval by label: whether the vectors nearest to a query have its label.

The whole bank is ranked for every query by score, equal scores by index. Class-based, as in deep metric learning (Oh Song et al.
2016; Musgrave et al. 2020); of images with several labels, those that share at least one are a match, as in
retrieval on NUS-WIDE (Xia et al. 2014); mean average precision as in Manning, Raghavan and Schütze, *Introduction to Information Retrieval*, 8.4.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featurestore.errors import EvaluationError
from featurestore.metrics.checks import check_finite

RANKED = 4_000_000  # scores ranked in one block
LAST = np.uint64(2**64 - 2)  # sort key of the query itself: after all others, and not a match


@dataclass(frozen=True, slots=True)
class RetrievalResult:
    """Means over the queries that have a match in the bank: fractions in [0, 1]."""

    map: float
    recall: dict[int, float]  # by k: share of queries with a match among the first k
    precision: dict[int, float]  # by k: mean share of matches among the first k
    queries_without_match: int  # not part of the means


def evaluate(
    queries: NDArray[np.float32],
    bank: NDArray[np.float32],
    query_labels: NDArray[np.integer],
    bank_labels: NDArray[np.integer],
    own: NDArray[np.integer] | None = None,
    ks: Sequence[int] = (1, 5, 10),
    advance: Callable[[int], object] = lambda count: None,
    block: int = RANKED,
) -> RetrievalResult:
    """Rank the bank (N, D) for each query (Q, D), all of unit length; a match has a label of the query.

    query_labels, bank_labels: (Q,) and (N,), or (Q, L) and (N, L) with codes from 0 on of up to L labels each, and -1 for none. own: (Q,), index in the bank of the query itself, which is left out. block: scores ranked at a time, at 30 bytes each. Raises
    EvaluationError when a k is not in [1, N], no query has a match, or a vector holds NaN.
    """
    check_finite(queries, bank)
    most = len(bank) - (own is not None)
    if not ks or min(ks) < 1 or max(ks) > most:
        raise EvaluationError(
            f"k = {', '.join(map(str, ks)) or 'none'}: expected between 1 and {most}, the number of vectors to find"
        )
    step = max(1, block // len(bank))
    matching = _matcher(query_labels, bank_labels)
    figures = []
    for start in range(0, len(queries), step):
        part = slice(start, start + step)
        matches = _ranked(queries[part] @ bank.T, matching(part), None if own is None else own[part])
        figures.append(_figures(matches, ks))
        advance(len(matches))
    found = np.concatenate(figures)  # (Q, 1 + 2 x number of ks); NaN in the first column without a match
    matched = ~np.isnan(found[:, 0])
    if not matched.any():
        raise EvaluationError(
            "no query has a match: expected a class with at least two items, one as query and one to find; label more items"
        )
    means = found[matched].mean(axis=0).tolist()
    recall, precision = means[1 : 1 + len(ks)], means[1 + len(ks) :]
    return RetrievalResult(
        means[0], dict(zip(ks, recall, strict=True)), dict(zip(ks, precision, strict=True)), int((~matched).sum())
    )


def _matcher(
    query_labels: NDArray[np.integer], bank_labels: NDArray[np.integer]
) -> Callable[[slice], NDArray[np.bool_]]:
    """Make a function that gives the matches of some queries: (B, N)."""
    if query_labels.ndim == 1 or query_labels.shape[1] == 1:
        asked, held = query_labels.reshape(-1, 1), bank_labels.reshape(-1)
        return lambda part: asked[part] == held
    has = np.zeros(
        (max(query_labels.max(), bank_labels.max()) + 2, len(bank_labels)), bool
    )  # by class; the last for none
    for labels in bank_labels.T:
        has[labels, np.arange(len(labels))] = True
    has[-1] = False
    return lambda part: np.asarray(np.logical_or.reduce([has[labels[part]] for labels in query_labels.T]))


def _ranked(
    scores: NDArray[np.float32], match: NDArray[np.bool_], own: NDArray[np.integer] | None
) -> NDArray[np.bool_]:
    """Order each row of `match` (B, N) by its scores, best first, equal scores by index; the query itself goes last, as no match.

    Score, index and match are packed into one integer, which sorts several times as fast as an argsort by two arrays.
    """
    bits = (scores + np.float32(0)).view(np.uint32)  # turns -0 into 0
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
    """Compute average precision (NaN without a match), then hit and precision for each k: (B, 1 + 2 x number of ks)."""
    query, rank = np.nonzero(matches)
    total = np.bincount(query, minlength=len(matches))
    before = np.arange(len(query)) - np.repeat(np.cumsum(total) - total, total)  # matches at better ranks
    with np.errstate(invalid="ignore"):
        average = np.bincount(query, (before + 1) / (rank + 1), minlength=len(matches)) / total
    first = [matches[:, :k].sum(axis=1) for k in ks]
    return np.stack([average, *(n > 0 for n in first), *(n / k for n, k in zip(first, ks, strict=True))], axis=1)
