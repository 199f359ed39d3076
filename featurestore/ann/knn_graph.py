"""The k-NN graph of a collection: the nearest neighbours of every row."""

import numpy as np
from numpy.typing import NDArray

from featurestore.ann.exact import scan
from featurestore.ann.faiss_index import Floats, Ints, floats
from featurestore.ann.row_filter import RowFilter
from featurestore.ann.search import Index, search_vectors
from featurestore.errors import EvaluationError
from featurestore.progress import Listener

QUERIES = 16_384  # rows compared with all others at a time
BY_INDEX = 1_024  # the same with an index


def neighbours(
    vectors: NDArray[np.float16], rows: RowFilter, k: int, index: Index | None, listener: Listener
) -> tuple[Floats, Ints]:
    """Find the k nearest neighbours of each of M rows among these, without itself: scores and indices into `rows`, (M, k), best first.

    Raises EvaluationError when there are no more than k rows.
    """
    if not 1 <= k < len(rows):
        raise EvaluationError(
            f"k = {k}: expected from 1 to {len(rows) - 1}, one less than the {len(rows)} items there are"
            if len(rows) > 1
            else f"expected two items or more, to find the neighbours of each, found {len(rows)}"
        )
    own = rows.rows
    scores, indices = np.empty((len(own), k), np.float32), np.empty((len(own), k), np.int64)
    listener.start("finding neighbours", len(own))
    step = QUERIES if index is None else BY_INDEX
    for start in range(0, len(own), step):
        part = own[start : start + step]
        queries = floats(vectors[part])
        found = (
            scan(queries, vectors, own, k + 1)
            if index is None
            else search_vectors(queries, vectors, rows, k + 1, index)
        )
        end = start + len(part)
        scores[start:end], others = without_self(*found, part)
        indices[start:end] = others if rows.chosen is None else np.searchsorted(own, others)
        listener.advance(len(part))
    return scores, indices


def without_self(scores: Floats, found: Ints, rows: Ints) -> tuple[Floats, Ints]:
    """Remove each query's own row from its neighbours, or the last one when ties pushed it out: (Q, K + 1) to (Q, K)."""
    own = found == rows[:, None]
    own[~own.any(axis=1), -1] = True
    keep = ~own
    return scores[keep].reshape(len(rows), -1), found[keep].reshape(len(rows), -1)
