"""Search of a vector file: exact when that is fast, otherwise among the candidates of an index and the rows it does not cover yet."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from featurestore.ann.exact import SPARE, require_found, rerank, search_exact
from featurestore.ann.faiss_index import FlatIndex, Floats, Ints, RabitqIndex
from featurestore.ann.row_filter import RowFilter
from featurestore.ann.tuning import KS, IndexCard, MeasuredRecall, SearchSetting, cheapest
from featurestore.errors import StoreCorrupt

ENOUGH = 0.95  # of the neighbours of every row
EXACT_FROM = 8  # exact search is as fast when the rows are at most this many times the candidates


@dataclass(frozen=True, slots=True)
class Index:
    """An index over the first `covered` rows of a vector file."""

    rabitq: RabitqIndex
    card: IndexCard

    @property
    def covered(self) -> int:
        return self.rabitq.count

    def setting_for_all(self, k: int, share: float) -> SearchSetting:
        """Choose what a search for the k nearest of every row visits, among a share of the rows: the cheapest that finds ENOUGH of them.

        A single search has the recall that the index was built for, and on collections where this takes all lists, a million would take hours.
        """
        if not self.card.curve:  # of an index that is too small to measure
            return self.card.setting(k, share)
        measured = [MeasuredRecall(*point, 0.0) for point in self.card.curve]
        best = cheapest(k, share, self.covered / self.card.lists, measured, ENOUGH)
        probes = min(self.card.lists, int(np.ceil(best.probes / share)))
        return replace(best, probes=probes, candidates=int(np.ceil(best.candidates * max(1.0, k / KS[0]))))


def search_vectors(
    queries: Floats,
    vectors: NDArray[np.float16],
    rows: RowFilter,
    k: int,
    index: Index | None,
    spare: int = 0,
    for_all: bool = False,
) -> tuple[Floats, Ints]:
    """Find the k best rows for each query: scores and rows, (Q, k + spare), best first, equal scores by row; all when there are fewer.

    queries: (Q, D), unit length; vectors: (N, D). Scores are exact. With an index hits may be missed: the k best are found with the recall on
    its card, the spare ones with less; for_all: with that of `Index.setting_for_all`. Rows that the index does not cover are always compared. Raises StoreCorrupt as `search_exact`.
    """
    wanted, k = k, min(k + spare, len(rows))
    if index is None or k == 0 or rows.is_small(vectors.shape[1]):
        return search_exact(queries, vectors, rows, k)
    inside = rows.count_before(index.covered)
    choose = index.setting_for_all if for_all else index.card.setting
    setting = choose(wanted, max(inside, 1) / index.covered)
    if max(k, setting.candidates) * EXACT_FROM >= inside:
        return search_exact(queries, vectors, rows, k)
    candidates = _candidates(queries, index.rabitq, max(k, setting.candidates), setting.probes, rows.bits)
    fresh = rows.from_row(index.covered)
    if len(fresh):
        recent = search_exact(queries, vectors[index.covered : rows.total], fresh, min(k, len(fresh)))[1]
        candidates = np.hstack([candidates, recent + index.covered])
    best = [_nearest(query, vectors, line, k + SPARE) for query, line in zip(queries, candidates, strict=True)]
    return rerank(queries, vectors, np.stack(best), k)


def _candidates(queries: Floats, rabitq: RabitqIndex, count: int, probes: int, bits: NDArray[np.uint8] | None) -> Ints:
    """Find `count` candidates for each query, in more lists when the nearest ones hold too few rows that pass the filter."""
    proposed = rabitq.propose(queries, count, probes, bits)
    while probes < rabitq.lists and len(short := np.flatnonzero(proposed[:, -1] < 0)):
        probes = min(4 * probes, rabitq.lists)
        proposed[short] = rabitq.propose(queries[short], count, probes, bits)
    require_found(proposed)
    ordered = np.sort(proposed, axis=1)
    if (ordered[:, -1:] >= rabitq.count).any() or (ordered[:, 1:] == ordered[:, :-1]).any():
        raise StoreCorrupt(
            "the index names vectors that are not there, or one twice, so somebody changed it; search with --exact, or delete the file in indexes/ "
            "of the store"
        )
    return proposed


def _nearest(query: Floats, vectors: NDArray[np.float16], candidates: Ints, count: int) -> Ints:
    """Find the `count` best of some candidates by float32 scores; all of them when there are no more."""
    if len(candidates) <= count:
        return candidates
    return candidates[require_found(FlatIndex(vectors.take(candidates, axis=0)).search(query[None], count)[1][0])]
