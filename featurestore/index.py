"""Search over vectors by FAISS. The only import of faiss."""

import faiss
import numpy as np
from numpy.typing import NDArray

BLOCK = 65_536  # rows that are turned into float32 at a time


def exact(
    queries: NDArray[np.float32], vectors: NDArray[np.float16], rows: NDArray[np.int64], k: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Find the k best of `rows` for each query by exact dot products: scores and rows, (Q, k), best first.

    queries: (Q, D), unit length; vectors: (N, D); rows: (M,), ascending, M >= k. Equal scores are ordered by row.
    """
    best_scores = np.empty((len(queries), 0), np.float32)
    best_rows = np.empty((len(queries), 0), np.int64)
    for start in range(0, len(rows), BLOCK):
        chosen = rows[start : start + BLOCK]
        block = _take(vectors, chosen).astype(np.float32)
        scores, places = _best(queries, block, min(k, len(block)))
        best_scores = np.concatenate([best_scores, scores], axis=1)
        best_rows = np.concatenate([best_rows, chosen[places]], axis=1)
        order = np.lexsort((best_rows, -best_scores), axis=1)[:, :k]
        best_scores = np.take_along_axis(best_scores, order, axis=1)
        best_rows = np.take_along_axis(best_rows, order, axis=1)
    return best_scores, best_rows


def _best(
    queries: NDArray[np.float32], block: NDArray[np.float32], k: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """The k best places of a block for each query; where equal scores lie across the cut, the first places."""
    scores, places = faiss.knn(queries, block, min(k + 1, len(block)), metric=faiss.METRIC_INNER_PRODUCT)
    if len(block) > k:
        for q in np.flatnonzero(scores[:, k] == scores[:, k - 1]):  # of equals, faiss keeps any
            all_scores = block @ queries[q]
            places[q, :k] = np.argsort(-all_scores, kind="stable")[:k]
            scores[q, :k] = all_scores[places[q, :k]]
    return scores[:, :k], places[:, :k]


def _take(vectors: NDArray[np.float16], rows: NDArray[np.int64]) -> NDArray[np.float16]:
    if len(rows) and rows[-1] - rows[0] == len(rows) - 1:
        return vectors[rows[0] : rows[-1] + 1]  # a run of rows needs no gather
    return vectors[rows]
