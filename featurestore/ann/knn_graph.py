"""The k-NN graph of a collection: the nearest neighbours of every row."""

from dataclasses import dataclass

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
SAMPLED = 500  # rows whose neighbours by an index are compared with the exact ones
TIE = 1e-6  # by which float32 scores of the same pair may differ
ANEW = 0.5  # share of the rows to ask for, from which a whole new graph is as fast as an extended one


@dataclass(frozen=True)
class KnnGraph:
    """The k nearest neighbours of each of M rows of a vector file, without itself, best first."""

    rows: Ints  # (M,), ascending
    indices: Ints  # (M, k), into `rows`
    scores: Floats  # (M, k)
    recall: float = (
        1.0  # the share of the neighbours that were found; less than 1 only by an index, measured on a sample
    )

    @property
    def k(self) -> int:
        return int(self.indices.shape[1])


def build_graph(
    vectors: NDArray[np.float16], rows: RowFilter, k: int, index: Index | None, listener: Listener
) -> KnnGraph:
    """Find the k nearest neighbours of each of some rows among these, or all others where there are no more than k."""
    k = max(0, min(k, len(rows) - 1))
    if k == 0:
        return KnnGraph(rows.rows, np.empty((len(rows), 0), np.int64), np.empty((len(rows), 0), np.float32))
    scores, indices = _nearest(vectors, rows, rows.rows, k, index, listener, for_all=True)
    return with_recall(KnnGraph(rows.rows, indices, scores), vectors, index)


def extend_graph(
    known: KnnGraph, vectors: NDArray[np.float16], rows: RowFilter, k: int, index: Index | None, listener: Listener
) -> KnnGraph:
    """Bring a graph to other rows of the same file: what `build_graph` gives, without comparing the rows that stay with each other again.

    Rows that are new, and those that lost a neighbour, are asked for as in `build_graph`. All others are only compared with the new ones.
    """
    now, k = rows.rows, max(0, min(k, len(rows) - 1))
    if known.k == k and np.array_equal(known.rows, now):
        return known
    place = places_in(now, known.rows)
    indices = place[known.indices]
    stays = np.flatnonzero((indices >= 0).all(axis=1) & (place >= 0))
    asked = np.ones(len(now), bool)
    asked[place[stays]] = False
    if k == 0 or known.k != k or asked.sum() > ANEW * len(now):
        return build_graph(vectors, rows, k, index, listener)
    found = KnnGraph(now, np.empty((len(now), k), np.int64), np.empty((len(now), k), np.float32), known.recall)
    found.indices[~asked], found.scores[~asked] = indices[stays], known.scores[stays]
    found.scores[asked], found.indices[asked] = _nearest(vectors, rows, now[asked], k, index, listener, for_all=True)
    _compare_with_new(found, vectors, np.flatnonzero(~asked), np.flatnonzero(places_in(known.rows, now) < 0), listener)
    return with_recall(found, vectors, index)


def places_in(values: Ints, wanted: Ints) -> Ints:
    """Give the places of numbers among ascending values; -1 where one is not among them."""
    if not len(values):
        return np.full(len(wanted), -1)
    found = np.searchsorted(values, wanted).clip(max=len(values) - 1)
    return np.where(values[found] == wanted, found, -1)


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
    return _nearest(vectors, rows, rows.rows, k, index, listener)


def _nearest(
    vectors: NDArray[np.float16],
    rows: RowFilter,
    asked: Ints,
    k: int,
    index: Index | None,
    listener: Listener,
    for_all: bool = False,
) -> tuple[Floats, Ints]:
    """Find the k nearest neighbours among `rows` of some of them, without itself: scores and indices into `rows`, (Q, k).

    for_all: with the recall of `Index.setting_for_all`, since those of all rows are wanted.
    """
    own = rows.rows
    scores, indices = np.empty((len(asked), k), np.float32), np.empty((len(asked), k), np.int64)
    listener.start("finding neighbours", len(asked))
    step = QUERIES if index is None else BY_INDEX
    for start in range(0, len(asked), step):
        part = asked[start : start + step]
        queries = floats(vectors[part])
        found = (
            scan(queries, vectors, own, k + 1)
            if index is None
            else search_vectors(queries, vectors, rows, k + 1, index, for_all=for_all)
        )
        end = start + len(part)
        scores[start:end], others = without_self(*found, part)
        indices[start:end] = others if rows.chosen is None else np.searchsorted(own, others)
        listener.advance(len(part))
    return scores, indices


def _compare_with_new(graph: KnnGraph, vectors: NDArray[np.float16], old: Ints, new: Ints, listener: Listener) -> None:
    """Put the new ones among the neighbours of old ones where they are nearer; old, new: indices into the rows of the graph, ascending."""
    if not len(new):
        return
    listener.start("comparing with new items", len(old))
    for start in range(0, len(old), QUERIES):
        part = old[start : start + QUERIES]
        scores, rows = scan(floats(vectors[graph.rows[part]]), vectors, graph.rows[new], min(graph.k, len(new)))
        scores = np.concatenate([graph.scores[part], scores], axis=1)
        indices = np.concatenate([graph.indices[part], np.searchsorted(graph.rows, rows)], axis=1)
        best = np.lexsort((indices, -scores), axis=1)[:, : graph.k]
        graph.scores[part] = np.take_along_axis(scores, best, axis=1)
        graph.indices[part] = np.take_along_axis(indices, best, axis=1)
        listener.advance(len(part))


def with_recall(graph: KnnGraph, vectors: NDArray[np.float16], index: Index | None) -> KnnGraph:
    """Measure the recall of a graph that was found by an index, on a sample of its rows."""
    if index is None:
        return graph
    sample = np.sort(np.random.default_rng(0).permutation(len(graph.rows))[:SAMPLED])
    rows = graph.rows[sample]
    exact, _ = without_self(*scan(floats(vectors[rows]), vectors, graph.rows, graph.k + 1), rows)
    found = graph.scores[sample] >= exact[:, -1:] - TIE
    return KnnGraph(graph.rows, graph.indices, graph.scores, float(found.mean()))


def without_self(scores: Floats, found: Ints, rows: Ints) -> tuple[Floats, Ints]:
    """Remove each query's own row from its neighbours, or the last one when ties pushed it out: (Q, K + 1) to (Q, K)."""
    own = found == rows[:, None]
    own[~own.any(axis=1), -1] = True
    keep = ~own
    return scores[keep].reshape(len(rows), -1), found[keep].reshape(len(rows), -1)
