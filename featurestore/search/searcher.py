"""One search of a store: candidates from the vectors, with the filter applied, and the items that they belong to."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from featurestore.ann.exact import DOUBT, rerank, rows_above
from featurestore.ann.near_duplicates import drop_near_duplicates
from featurestore.ann.row_filter import RowFilter
from featurestore.ann.search import Index, search_vectors
from featurestore.ann.tuning import worth_indexing
from featurestore.catalog import EncoderRecord
from featurestore.errors import QueryError
from featurestore.storage import Snapshot
from featurestore.storage.item_reader import ItemReader, values_at
from featurestore.storage.no_match import describe_no_match

HITS = 10  # when a search does not say how many
SPARE = 32  # candidates beyond k when some may belong to removed items
UNINDEXED_SHARE = 0.2  # from this share of vectors on that the index does not hold, searches warn


@dataclass(frozen=True, slots=True)
class Hits:
    """The results of one query, best first, (K,)."""

    scores: NDArray[np.float32]
    rows: NDArray[np.int64]
    ids: NDArray[np.int64]
    paths: list[str]
    labels: list[str | None]
    label_lists: list[list[str] | None]  # of items with several labels

    def __len__(self) -> int:
        return len(self.rows)

    def first(self, k: int) -> "Hits":
        return self if len(self) <= k else self.take(np.arange(k))

    def without(self, ids: Collection[int]) -> "Hits":
        return self.take(np.flatnonzero(~np.isin(self.ids, list(ids)))) if ids else self

    def take(self, places: NDArray[np.int64]) -> "Hits":
        paths, labels, lists = ([values[p] for p in places] for values in (self.paths, self.labels, self.label_lists))
        return Hits(self.scores[places], self.rows[places], self.ids[places], paths, labels, lists)


@dataclass(frozen=True, slots=True)
class Searcher:
    """Searches the vectors of one encoder in one snapshot."""

    snapshot: Snapshot
    items: ItemReader
    rows: RowFilter  # that may be found
    index: Index | None
    warnings: tuple[str, ...]

    @classmethod
    def of(
        cls, snapshot: Snapshot, record: EncoderRecord, where: str | None, exact: bool, load: bool = False
    ) -> "Searcher":
        """Prepare a search. exact: without the index. load: read all items into memory. Raises QueryError, StoreCorrupt."""
        items = snapshot.reader(record, load)
        rows = snapshot.filter(items, where)
        found = None if exact else snapshot.index(items.record)
        reason = None if found is None else why_slow(items.record, found)
        warnings = [] if reason is None else [f"{reason}; to make searches fast: featurestore optimize STORE"]
        if where is not None and not len(rows):
            warnings.append(describe_no_match(items.catalog, where, items.record))
        return cls(snapshot, items, rows, found if isinstance(found, Index) else None, tuple(warnings))

    def find(
        self,
        query: NDArray[np.float32],
        k: int | None,
        exclude: Collection[int] = (),
        above: float | None = None,
        unique: float | None = None,
    ) -> Hits:
        """Give the best items for one query (1, D), without the ids in `exclude`.

        above: only items with at least this score; then k = None means all of them, otherwise HITS. unique: leave
        out an item whose score with a better hit is at least this.
        """
        if above is not None:
            hits = self.above(query, above).without(exclude)
            return (self.drop_duplicates(hits, unique) if unique is not None else hits).first(
                len(hits) if k is None else k
            )
        k = HITS if k is None else k
        wanted = k + len(exclude)
        while True:
            [hits] = self.nearest(query, *with_spare(wanted, len(exclude)))
            left = hits.without(exclude)
            if unique is None:
                return left.first(k)
            left = self.drop_duplicates(left, unique)
            if len(left) >= k or len(hits) < wanted:
                return left.first(k)
            wanted *= 2

    def nearest(self, queries: NDArray[np.float32], k: int, spare: int = 0) -> list[Hits]:
        """Give the k + spare best items for each query (Q, D); fewer only when there are fewer. The index may miss more of the spare ones."""
        may_lack = self.items.may_include_removed and self.rows.chosen is None
        more = spare + (SPARE if may_lack else 0)
        scores, rows = search_vectors(queries, self.items.vectors, self.rows, k, self.index, more)
        found = self._items(scores, rows)
        k += spare
        if may_lack and rows.shape[1] < len(self.rows) and any(len(hits) < k for hits in found):
            again = Searcher.of(self.snapshot, self.items.record, None, self.index is None, load=True)
            return again.nearest(queries, k)
        return [hits.first(k) for hits in found]

    def above(self, query: NDArray[np.float32], score: float) -> Hits:
        """Give all items with at least a score for a query (1, D), best first; looks at every vector."""
        vectors = self.items.vectors
        rows = rows_above(query[0], vectors, self.rows, score - DOUBT)
        scores, rows = rerank(query, vectors, rows[None], len(rows))
        enough = int((scores >= score).sum())  # the first ones
        return self._items(scores[:, :enough], rows[:, :enough])[0]

    def drop_duplicates(self, hits: Hits, threshold: float) -> Hits:
        """Drop near-duplicates of better hits."""
        return hits.take(drop_near_duplicates(self.items.vectors[hits.rows], threshold))

    def vectors_of(self, ids: Sequence[int]) -> tuple[NDArray[np.float32], list[str]]:
        """Give vectors (n, D) and paths of items. Raises QueryError when an item does not exist or has no vector."""
        found = self.items.by_id(ids)
        place = {item: n for n, item in enumerate(found.ids.tolist())}
        for item in ids:
            if item not in place:
                raise QueryError(
                    f"item {item}: the store has no such item with a vector of {self.items.record.name}; `featurestore sql STORE 'SELECT id, path FROM items'` lists them"
                )
        places = np.array([place[item] for item in ids], np.int64)
        return self.items.vectors[found.rows[places]].astype(np.float32), values_at(found.paths, places)

    def _items(self, scores: NDArray[np.float32], rows: NDArray[np.int64]) -> list[Hits]:
        """Give the items of rows (Q, K); rows whose items are gone are left out."""
        items = self.items.at_rows(np.unique(rows))
        at = np.searchsorted(items.rows, rows)
        exists = at < len(items.rows)
        exists[exists] = items.rows[at[exists]] == rows[exists]
        at = at[exists]  # of all queries, one after the other
        paths, labels, lists = (values_at(column, at) for column in (items.paths, items.labels, items.label_lists))
        ids = items.ids[at]
        ends = np.cumsum(exists.sum(axis=1)).tolist()
        return [
            Hits(line_scores[there], line[there], ids[first:end], paths[first:end], labels[first:end], lists[first:end])
            for line_scores, line, there, (first, end) in zip(scores, rows, exists, pairwise([0, *ends]), strict=True)
        ]


def with_spare(wanted: int, left_out: int) -> tuple[int, int]:
    """Split the hits that are wanted into those that count and a few that are left out of the answer.

    An index is tuned for certain numbers of hits, such as 10: an eleventh, which is the query itself, must not make it look three times as far.
    """
    return (wanted - left_out, left_out) if left_out <= max(1, (wanted - left_out) // 10) else (wanted, 0)


def why_slow(record: EncoderRecord, index: Index | str | None) -> str | None:
    """Say why searches look at more vectors than they need to; None when they do not."""
    if isinstance(index, str):
        return f"the index of {record.name} {index}; searches look at all its vectors"
    if index is None:
        return (
            f"the {record.rows} vectors of {record.name} have no index"
            if worth_indexing(record.rows, record.dim)
            else None
        )
    share = 1 - index.covered / record.rows
    if share > UNINDEXED_SHARE:
        return (
            f"{share:.0%} of the vectors of {record.name} are newer than its index, and searches look at all of these"
        )
    return None
