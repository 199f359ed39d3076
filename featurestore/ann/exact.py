"""Exact search: every vector that may be found is compared with the query."""

import numpy as np
from numpy.typing import NDArray

from featurestore.ann.faiss_index import BLAS_FROM, Flat, Floats, Ints, best, floats
from featurestore.ann.row_filter import Rows
from featurestore.errors import StoreCorrupt

BLOCK = 65_536  # rows that are widened to float32 at a time
WIDENED = 1_000_000  # numbers that are widened to float64 at a time
SPARE = 8  # found beyond k, so that the last of k is rarely in doubt
DOUBT = 4e-6  # between two scores in float32 that may be in the other order


def exact(queries: Floats, vectors: NDArray[np.float16], rows: Rows, k: int) -> tuple[Floats, Ints]:
    """Find the k best rows for each query: scores and rows, (Q, k), best first, equal scores by row.

    queries: (Q, D), unit length; vectors: (N, D); k <= len(rows). Scores are dot products in float64, rounded: the same for a
    vector wherever it lies and whatever it was found by. Raises StoreCorrupt when so many vectors are not finite that k are not left.
    """
    if k == 0:
        return np.empty((len(queries), 0), np.float32), np.empty((len(queries), 0), np.int64)
    want = min(k + SPARE, len(rows))
    if queries.size >= BLAS_FROM:
        scores, found = scan(queries, vectors, rows.rows, want)
    else:
        flat, bits, numbers = _laid_out(vectors, rows)
        scores, found = flat.search(queries, want, bits)
        found = whole(found) if numbers is None else numbers[whole(found)]
    answer = settle(queries, vectors, found, k)
    if want < len(rows):  # of what is nearly as good as the last of k, some may not have been found
        for q in np.flatnonzero(scores[:, k - 1] - scores[:, -1] <= DOUBT):
            near = above(queries[q], vectors, rows, float(scores[q, k - 1]) - DOUBT)
            answer[0][q], answer[1][q] = (best[0] for best in settle(queries[q : q + 1], vectors, near[None], k))
    return answer


def settle(queries: Floats, vectors: NDArray[np.float16], rows: Ints, k: int) -> tuple[Floats, Ints]:
    """Order rows (Q, n) by their exact scores with their query (Q, D), equal scores by row, and keep the k best: scores and rows, (Q, k)."""
    scores = products(queries, vectors, rows)
    best = np.arange(len(rows))[:, None], np.lexsort((rows, -scores), axis=1)[:, :k]
    return scores[best], rows[best]


def products(queries: Floats, vectors: NDArray[np.float16], rows: Ints) -> Floats:
    """Multiply each query (Q, D) by the vectors of its rows (Q, n), in float64: (Q, n), rounded to float32."""
    wide = queries.astype(np.float64)
    scores = np.empty(rows.size, np.float32)
    step = max(1, WIDENED // vectors.shape[1])
    for start in range(0, rows.size, step):
        pairs = slice(start, start + step)
        near = floats(vectors.take(rows.ravel()[pairs], axis=0)).astype(np.float64)
        asked = wide[np.arange(start, start + len(near)) // rows.shape[1]]
        scores[pairs] = np.einsum("ij,ij->i", near, asked)
    return scores.reshape(rows.shape)


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
        if start == 0:
            best_scores, best_rows = scores, chosen[places]
            continue
        best_scores = np.concatenate([best_scores, scores], axis=1)
        best_rows = np.concatenate([best_rows, chosen[places]], axis=1)
        order = np.argsort(-best_scores, axis=1, kind="stable")[:, :k]  # of equal scores those of earlier blocks first
        best_scores = np.take_along_axis(best_scores, order, axis=1)
        best_rows = np.take_along_axis(best_rows, order, axis=1)
    return best_scores, best_rows


def best_of_block(queries: Floats, block: Floats, k: int) -> tuple[Floats, Ints]:
    """Give scores and places of the k best of a block for each query, (Q, k), best first, equal scores by place."""
    scores, places = best(queries, block, min(k + 1, len(block)))
    whole(places[:, :k])
    equal = scores[:, 1:] == scores[:, :-1]
    for q in np.flatnonzero(equal.any(axis=1)):  # of equals, faiss keeps any, in any order
        if len(block) > k and equal[q, k - 1]:
            all_scores = block @ queries[q]
            places[q, :k] = np.argsort(-all_scores, kind="stable")[:k]
            scores[q, :k] = all_scores[places[q, :k]]
        else:
            order = np.lexsort((places[q], -scores[q]))
            scores[q], places[q] = scores[q, order], places[q, order]
    return scores[:, :k], places[:, :k]


def whole(found: Ints) -> Ints:
    """Pass on what FAISS found. Raises StoreCorrupt where something is missing: it passes over scores that are no numbers."""
    if (found < 0).any():
        raise StoreCorrupt(
            "some vectors are not finite, which no encoder's are; see: featurestore verify STORE --repair"
        )
    return found


def _take(vectors: NDArray[np.float16], rows: Ints) -> NDArray[np.float16]:
    if len(rows) and rows[-1] - rows[0] == len(rows) - 1:
        return vectors[rows[0] : rows[-1] + 1]  # a run of rows needs no gather
    return vectors[rows]
