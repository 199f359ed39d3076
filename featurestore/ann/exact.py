"""Exact search: the query is compared with every vector that passes the filter."""

import numpy as np
from numpy.typing import NDArray

from featurestore.ann.faiss_index import BLAS_FROM, FlatIndex, Floats, Ints, floats, top_k
from featurestore.ann.row_filter import RowFilter
from featurestore.errors import StoreCorrupt

BLOCK = 65_536  # rows converted to float32 at a time
WIDENED = 1_000_000  # numbers converted to float64 at a time
SPARE = 8  # candidates beyond k, so that the k-th is rarely uncertain
DOUBT = 4e-6  # largest difference of two float32 scores whose order float64 may reverse


def search_exact(queries: Floats, vectors: NDArray[np.float16], rows: RowFilter, k: int) -> tuple[Floats, Ints]:
    """Find the k best rows for each query: scores and rows, (Q, k), best first, equal scores by row.

    queries: (Q, D), unit length; vectors: (N, D); k <= len(rows). Scores are dot products in float64, rounded: they do not depend on the
    position of a vector or the way it was found. Raises StoreCorrupt when NaN or infinity leave fewer than k vectors.
    """
    if k == 0:
        return np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
    want = min(k + SPARE, len(rows))
    if queries.size >= BLAS_FROM:
        scores, found = scan(queries, vectors, rows.rows, want)
    else:
        flat, bits, row_of = _flat_index(vectors, rows)
        scores, found = flat.search(queries, want, bits)
        found = require_found(found) if row_of is None else row_of[require_found(found)]
    answer = rerank(queries, vectors, found, k)
    if want < len(rows):  # rows that score nearly as well as the k-th may be missing
        for q in np.flatnonzero(scores[:, k - 1] - scores[:, -1] <= DOUBT):
            near = rows_above(queries[q], vectors, rows, float(scores[q, k - 1]) - DOUBT)
            answer[0][q], answer[1][q] = (best[0] for best in rerank(queries[q : q + 1], vectors, near[None], k))
    return answer


def rerank(queries: Floats, vectors: NDArray[np.float16], rows: Ints, k: int) -> tuple[Floats, Ints]:
    """Rank candidate rows (Q, n) by their exact scores with their query (Q, D), equal scores by row: scores and rows of the k best, (Q, k)."""
    scores = exact_scores(queries, vectors, rows)
    best = np.arange(len(rows))[:, None], np.lexsort((rows, -scores), axis=1)[:, :k]
    return scores[best], rows[best]


def exact_scores(queries: Floats, vectors: NDArray[np.float16], rows: Ints) -> Floats:
    """Compute the dot products of each query (Q, D) with the vectors of its rows (Q, n), in float64: (Q, n), rounded to float32."""
    wide = queries.astype(np.float64)
    scores = np.empty(rows.size, np.float32)
    step = max(1, WIDENED // vectors.shape[1])
    for start in range(0, rows.size, step):
        pairs = slice(start, start + step)
        candidates = floats(vectors.take(rows.ravel()[pairs], axis=0)).astype(np.float64)
        of_query = wide[np.arange(start, start + len(candidates)) // rows.shape[1]]
        scores[pairs] = np.einsum("ij,ij->i", candidates, of_query)
    return scores.reshape(rows.shape)


def rows_above(query: Floats, vectors: NDArray[np.float16], rows: RowFilter, score: float) -> Ints:
    """Find all rows with at least a score, in float32, for a query (D,); in no order."""
    flat, bits, row_of = _flat_index(vectors, rows)
    _, found = flat.range_search(query[None], float(np.nextafter(np.float32(score), np.float32(-np.inf))), bits)
    return found if row_of is None else np.asarray(row_of[found])


def _flat_index(
    vectors: NDArray[np.float16], rows: RowFilter
) -> tuple[FlatIndex, NDArray[np.uint8] | None, Ints | None]:
    """Get an index to search, the mask of its vectors, and the row of each of them: None when it is the same number."""
    if rows.is_small(vectors.shape[1]):
        return rows.flat_index(vectors), None, rows.rows
    return FlatIndex(vectors), rows.bits, None


def scan(queries: Floats, vectors: NDArray[np.float16], rows: Ints, k: int) -> tuple[Floats, Ints]:
    """Find the k best of `rows`, ascending, for many queries by matrix products: scores and rows, (Q, k), best first.

    Scores are float32, whose last bits depend on the position of a vector; equal scores are ordered by row.
    """
    best_scores = np.empty((len(queries), 0), np.float32)
    best_rows = np.empty((len(queries), 0), np.int64)
    for start in range(0, len(rows), BLOCK):
        chosen = rows[start : start + BLOCK]
        block = floats(_take(vectors, chosen))
        scores, indices = top_k_of_block(queries, block, min(k, len(block)))
        if start == 0:
            best_scores, best_rows = scores, chosen[indices]
            continue
        best_scores = np.concatenate([best_scores, scores], axis=1)
        best_rows = np.concatenate([best_rows, chosen[indices]], axis=1)
        order = np.argsort(-best_scores, axis=1, kind="stable")[:, :k]  # equal scores: earlier blocks first
        best_scores = np.take_along_axis(best_scores, order, axis=1)
        best_rows = np.take_along_axis(best_rows, order, axis=1)
    return best_scores, best_rows


def top_k_of_block(queries: Floats, block: Floats, k: int) -> tuple[Floats, Ints]:
    """Find the k best of a block for each query: scores and indices, (Q, k), best first, equal scores by index."""
    scores, indices = top_k(queries, block, min(k + 1, len(block)))
    require_found(indices[:, :k])
    equal = scores[:, 1:] == scores[:, :-1]
    for q in np.flatnonzero(equal.any(axis=1)):  # faiss returns any of equal scores, in any order
        if len(block) > k and equal[q, k - 1]:
            all_scores = block @ queries[q]
            indices[q, :k] = np.argsort(-all_scores, kind="stable")[:k]
            scores[q, :k] = all_scores[indices[q, :k]]
        else:
            order = np.lexsort((indices[q], -scores[q]))
            scores[q], indices[q] = scores[q, order], indices[q, order]
    return scores[:, :k], indices[:, :k]


def require_found(found: Ints) -> Ints:
    """Return what FAISS found. Raises StoreCorrupt when something is missing, since FAISS skips NaN scores."""
    if (found < 0).any():
        raise StoreCorrupt(
            "some vectors are not finite: they were damaged after they were written; see: featurestore verify STORE --repair"
        )
    return found


def _take(vectors: NDArray[np.float16], rows: Ints) -> NDArray[np.float16]:
    if len(rows) and rows[-1] - rows[0] == len(rows) - 1:
        return vectors[rows[0] : rows[-1] + 1]  # consecutive rows need no copy
    return vectors[rows]
