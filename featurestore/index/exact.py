"""Exact search: every vector that may be found is compared with the query."""

import numpy as np
from numpy.typing import NDArray

from featurestore.index.engine import BLAS_FROM, Flat, Floats, Ints, best, floats
from featurestore.index.rows import Rows

BLOCK = 65_536  # rows that are widened to float32 at a time
SPARE = 8  # found beyond k, so that the last of k is rarely in doubt
DOUBT = 4e-6  # between two scores in float32 that may be in the other order


def exact(queries: Floats, vectors: NDArray[np.float16], rows: Rows, k: int) -> tuple[Floats, Ints]:
    """Find the k best rows for each query: scores and rows, (Q, k), best first, equal scores by row.

    queries: (Q, D), unit length; vectors: (N, D); k <= len(rows). Scores are dot products in float64, rounded: the same for a
    vector wherever it lies and whatever it was found by.
    """
    if k == 0:
        return np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
    want = min(k + SPARE, len(rows))
    if queries.size >= BLAS_FROM:
        scores, found = scan(queries, vectors, rows.rows, want)
    else:
        flat, bits, numbers = _laid_out(vectors, rows)
        scores, found = flat.search(queries, want, bits)
        found = found if numbers is None else numbers[found]
    answers = [
        settle(query, vectors, line, k)
        if want == len(rows) or line_scores[k - 1] - line_scores[-1] > DOUBT
        else settle(query, vectors, above(query, vectors, rows, float(line_scores[k - 1]) - DOUBT), k)
        for query, line_scores, line in zip(queries, scores, found, strict=True)
    ]
    return np.stack([a[0] for a in answers]), np.stack([a[1] for a in answers])


def settle(query: Floats, vectors: NDArray[np.float16], rows: Ints, k: int) -> tuple[Floats, Ints]:
    """Order rows by their exact scores with a query (D,), and keep the k best: scores and rows, (k,)."""
    scores = (vectors[rows].astype(np.float64) @ query.astype(np.float64)).astype(np.float32)
    order = np.lexsort((rows, -scores))[:k]
    return scores[order], rows[order]


def above(query: Floats, vectors: NDArray[np.float16], rows: Rows, score: float) -> Ints:
    """Give all rows that have at least a score with a query (D,), as float32 sees it, in no order."""
    flat, bits, numbers = _laid_out(vectors, rows)
    _, found = flat.above(query[None], float(np.nextafter(np.float32(score), np.float32(-np.inf))), bits)
    return found if numbers is None else np.asarray(numbers[found])


def _laid_out(vectors: NDArray[np.float16], rows: Rows) -> tuple[Flat, NDArray[np.uint8] | None, Ints | None]:
    """What to search, which of it, and the rows that its places stand for, None when they are the same."""
    if rows.few(vectors.shape[1]):
        return rows.flat(vectors), None, rows.rows
    return Flat(vectors), rows.bits, None


def scan(queries: Floats, vectors: NDArray[np.float16], rows: Ints, k: int) -> tuple[Floats, Ints]:
    """Find the k best of `rows`, ascending, for many queries, by multiplying matrices: scores and rows, (Q, k), best first.

    Scores are float32 products, whose last bits depend on the place of a vector; equal ones are ordered by row.
    """
    best_scores = np.empty((len(queries), 0), np.float32)
    best_rows = np.empty((len(queries), 0), np.int64)
    for start in range(0, len(rows), BLOCK):
        chosen = rows[start : start + BLOCK]
        block = floats(_take(vectors, chosen))
        scores, places = best_of_block(queries, block, min(k, len(block)))
        best_scores = np.concatenate([best_scores, scores], axis=1)
        best_rows = np.concatenate([best_rows, chosen[places]], axis=1)
        order = np.lexsort((best_rows, -best_scores), axis=1)[:, :k]
        best_scores = np.take_along_axis(best_scores, order, axis=1)
        best_rows = np.take_along_axis(best_rows, order, axis=1)
    return best_scores, best_rows


def best_of_block(queries: Floats, block: Floats, k: int) -> tuple[Floats, Ints]:
    """Give scores and places of the k best of a block for each query, (Q, k); where equal scores lie across the cut, the first places."""
    scores, places = best(queries, block, min(k + 1, len(block)))
    if len(block) > k:
        for q in np.flatnonzero(scores[:, k] == scores[:, k - 1]):  # of equals, faiss keeps any
            all_scores = block @ queries[q]
            places[q, :k] = np.argsort(-all_scores, kind="stable")[:k]
            scores[q, :k] = all_scores[places[q, :k]]
    return scores[:, :k], places[:, :k]


def _take(vectors: NDArray[np.float16], rows: Ints) -> NDArray[np.float16]:
    if len(rows) and rows[-1] - rows[0] == len(rows) - 1:
        return vectors[rows[0] : rows[-1] + 1]  # a run of rows needs no gather
    return vectors[rows]
