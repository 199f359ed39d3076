"""Search: exact where that is quick, else among what the index proposes and what it does not hold yet."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featurestore.ann.exact import SPARE, exact, settle, whole
from featurestore.ann.faiss_index import Flat, Floats, Ints, Lists
from featurestore.ann.row_filter import Rows
from featurestore.ann.tuning import Card

EXACT_FROM = 8  # candidates times this are as many as there are: looking at all is no slower


@dataclass(frozen=True, slots=True)
class Index:
    """An index over the first `covered` rows of a vector file."""

    lists: Lists
    card: Card

    @property
    def covered(self) -> int:
        return self.lists.count


def search(
    queries: Floats, vectors: NDArray[np.float16], rows: Rows, k: int, index: Index | None, spare: int = 0
) -> tuple[Floats, Ints]:
    """Find the k best rows for each query: scores and rows, (Q, k + spare), best first, equal scores by row; all when there are fewer.

    queries: (Q, D), unit length; vectors: (N, D). Scores are exact; with an index a hit may be missed, as often as its card says
    of searches for k; what is spare comes as it is found. Rows behind those of the index are always looked at. Raises StoreCorrupt
    as `exact` does.
    """
    wanted, k = k, min(k + spare, len(rows))
    if index is None or k == 0 or rows.few(vectors.shape[1]):
        return exact(queries, vectors, rows, k)
    inside = rows.before(index.covered)
    setting = index.card.setting(wanted, max(inside, 1) / index.covered)
    if max(k, setting.candidates) * EXACT_FROM >= inside:
        return exact(queries, vectors, rows, k)
    candidates = _propose(queries, index.lists, max(k, setting.candidates), setting.probes, rows.bits)
    fresh = rows.behind(index.covered)
    if len(fresh):
        recent = exact(queries, vectors[index.covered : rows.total], fresh, min(k, len(fresh)))[1]
        candidates = np.hstack([candidates, recent + index.covered])
    near = [_nearest(query, vectors, line, k + SPARE) for query, line in zip(queries, candidates, strict=True)]
    return settle(queries, vectors, np.stack(near), k)


def _propose(queries: Floats, lists: Lists, count: int, probes: int, bits: NDArray[np.uint8] | None) -> Ints:
    """Candidates for each query; where the lists nearest to it hold too few of the rows that may be found, from more lists."""
    proposed = lists.propose(queries, count, probes, bits)
    while probes < lists.lists and len(short := np.flatnonzero(proposed[:, -1] < 0)):
        probes = min(4 * probes, lists.lists)
        proposed[short] = lists.propose(queries[short], count, probes, bits)
    return whole(proposed)


def _nearest(query: Floats, vectors: NDArray[np.float16], candidates: Ints, count: int) -> Ints:
    """The `count` best of some candidates, by scores in float32: all, when there are no more."""
    if len(candidates) <= count:
        return candidates
    return candidates[whole(Flat(vectors.take(candidates, axis=0)).search(query[None], count)[1][0])]
