"""One search of a store: where its vectors lie, which of them may be found, and which items they stand for."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurestore.ann.exact import DOUBT, rerank, rows_above
from featurestore.ann.near_duplicates import drop_near_duplicates
from featurestore.ann.row_filter import RowFilter
from featurestore.ann.search import Index, search_vectors
from featurestore.ann.tuning import worth_indexing
from featurestore.catalog import EncoderRecord
from featurestore.errors import QueryError
from featurestore.storage.snapshot import Moment

HITS = 10  # of a search that does not say how many
SPARE = 32  # hits asked for beyond k where some may turn out to have been deleted
FRESH_TOLD = 0.2  # share of vectors behind the index from which searches say so


@dataclass(frozen=True, slots=True)
class Hits:
    """What one query found, best first, (K,)."""

    scores: NDArray[np.float32]
    rows: NDArray[np.int64]
    ids: NDArray[np.int64]
    paths: list[str]
    labels: list[str | None]

    def __len__(self) -> int:
        return len(self.rows)

    def first(self, k: int) -> "Hits":
        return self if len(self) <= k else self.take(np.arange(k))

    def without(self, ids: Collection[int]) -> "Hits":
        return self.take(np.flatnonzero(~np.isin(self.ids, list(ids)))) if ids else self

    def take(self, places: NDArray[np.int64]) -> "Hits":
        paths, labels = ([values[p] for p in places] for values in (self.paths, self.labels))
        return Hits(self.scores[places], self.rows[places], self.ids[places], paths, labels)


@dataclass(frozen=True, slots=True)
class Sight:
    """What a search sees of a store."""

    moment: Moment
    record: EncoderRecord
    at_a_glance: bool  # the catalog is asked for the hits; else all items are in memory
    vectors: NDArray[np.float16]
    rows: RowFilter
    index: Index | None
    warnings: tuple[str, ...]

    @classmethod
    def of(cls, moment: Moment, record: EncoderRecord, where: str | None, exact: bool, read: bool = False) -> "Sight":
        """Look at what an encoder has vectors of. Raises QueryError, StoreCorrupt."""
        at_a_glance = not read and moment.glance(record)
        if at_a_glance:
            vectors, everything = moment.vectors(record), RowFilter(record.rows)
        else:
            view = moment.view(record.fingerprint)
            record, vectors, everything = view.items.encoder, view.vectors, moment.live(record.fingerprint)
        rows = everything if where is None else moment.allowed(record, where, at_a_glance)
        found = None if exact else moment.index(record)
        reason = None if found is None else slowness(record, found)
        warnings = () if reason is None else (f"{reason}; to mend that: featurestore optimize STORE",)
        return cls(moment, record, at_a_glance, vectors, rows, found if isinstance(found, Index) else None, warnings)

    def find(
        self,
        query: NDArray[np.float32],
        k: int | None,
        left_out: Collection[int] = (),
        above: float | None = None,
        unique: float | None = None,
    ) -> Hits:
        """Give the best items for one query (1, D), without those of `left_out`, by id.

        above: only those with at least this score; then k = None is all, else HITS. unique: no two that have this score with each other.
        """
        if above is not None:
            hits = self.above(query, above).without(left_out)
            return (self.fold(hits, unique) if unique is not None else hits).first(len(hits) if k is None else k)
        k = HITS if k is None else k
        wanted = k + len(left_out)
        while True:
            [hits] = self.nearest(query, wanted)
            kept = hits.without(left_out)
            if unique is None:
                return kept.first(k)
            kept = self.fold(kept, unique)
            if len(kept) >= k or len(hits) < wanted:
                return kept.first(k)
            wanted *= 2

    def nearest(self, queries: NDArray[np.float32], k: int) -> list[Hits]:
        """Give the k best items for each query (Q, D), fewer only when there are fewer."""
        doubtful = self.at_a_glance and self.rows.chosen is None  # then some rows are of items that are gone
        scores, rows = search_vectors(queries, self.vectors, self.rows, k, self.index, SPARE if doubtful else 0)
        found = self._items(scores, rows)
        if doubtful and rows.shape[1] < len(self.rows) and any(len(hits) < k for hits in found):
            return Sight.of(self.moment, self.record, None, self.index is None, read=True).nearest(queries, k)
        return [hits.first(k) for hits in found]

    def above(self, query: NDArray[np.float32], score: float) -> Hits:
        """Give all items with at least a score for a query (1, D), best first; every vector is looked at."""
        rows = rows_above(query[0], self.vectors, self.rows, score - DOUBT)
        scores, rows = rerank(query, self.vectors, rows[None], len(rows))
        enough = int((scores >= score).sum())  # the first ones
        return self._items(scores[:, :enough], rows[:, :enough])[0]

    def fold(self, hits: Hits, threshold: float) -> Hits:
        """Leave out near-duplicates of better hits."""
        return hits.take(drop_near_duplicates(self.vectors[hits.rows], threshold))

    def vectors_of(self, ids: Sequence[int]) -> tuple[NDArray[np.float32], list[str]]:
        """Vectors (n, D) and paths of items. Raises QueryError when there is no such item with a vector."""
        if self.at_a_glance:
            found = self.moment.rows_of(self.record, ids)
        else:
            items = self.moment.view(self.record.fingerprint).items
            chosen = np.flatnonzero(np.isin(items.ids, ids))
            found = pa.table({"id": items.ids[chosen], "row": items.rows[chosen], "path": items.paths.take(chosen)})
        known = {
            item: (row, path)
            for item, row, path in zip(*(found[n].to_pylist() for n in ("id", "row", "path")), strict=True)
        }
        for item in ids:
            if item not in known:
                raise QueryError(
                    f"item {item}: the store has no such item with a vector of {self.record.name}; `featurestore sql STORE 'SELECT id, path FROM items'` lists them"
                )
        rows = [known[item][0] for item in ids]
        return self.vectors[rows].astype(np.float32), [known[item][1] for item in ids]

    def _items(self, scores: NDArray[np.float32], rows: NDArray[np.int64]) -> list[Hits]:
        """The items that rows (Q, K) stand for; those whose items are gone are not among them."""
        if self.at_a_glance:
            found = self.moment.hits(self.record, np.unique(rows)).sort_by("row")
            known, ids = found["row"].to_numpy(), found["id"].to_numpy()
            paths, labels = found["path"], found["label"]
        else:
            items = self.moment.view(self.record.fingerprint).items
            known, ids, paths, labels = items.rows, items.ids, items.paths, items.labels
        at = np.searchsorted(known, rows)
        there = at < len(known)
        there[there] = known[at[there]] == rows[there]
        at = at[there]  # of all queries, one after the other
        places = pa.array(at)  # as Arrow takes them quickest
        names, groups, ids = paths.take(places).to_pylist(), labels.take(places).to_pylist(), ids[at]
        ends = np.cumsum(there.sum(axis=1)).tolist()
        return [
            Hits(line_scores[kept], line[kept], ids[first:end], names[first:end], groups[first:end])
            for line_scores, line, kept, (first, end) in zip(scores, rows, there, pairwise([0, *ends]), strict=True)
        ]


def slowness(record: EncoderRecord, index: Index | str | None) -> str | None:
    """Say why searches look at more vectors than they need to; None when they do not."""
    if isinstance(index, str):
        return f"the index of {record.name} {index}; all its vectors are looked at"
    if index is None:
        return (
            f"the {record.rows} vectors of {record.name} have no index"
            if worth_indexing(record.rows, record.dim)
            else None
        )
    fresh = 1 - index.covered / record.rows
    if fresh > FRESH_TOLD:
        return f"{fresh:.0%} of the vectors of {record.name} are newer than its index, and all of these are looked at"
    return None
