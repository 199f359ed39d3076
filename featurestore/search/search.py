"""Searching a store: by examples, by many queries, and the neighbours of every item."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featurestore.ann.knn_graph import neighbours as nearest_rows
from featurestore.errors import QueryError
from featurestore.progress import Listener
from featurestore.search.query import Query, QueryEncoder, QueryExample, QueryVector, embed_queries, embed_query
from featurestore.search.results import Matches, Neighbours
from featurestore.search.searcher import HITS, Hits, Searcher, why_slow, with_spare
from featurestore.storage import Snapshot, Storage

NEIGHBOURS = 20  # of each item, when the caller does not say how many


def search(
    store: Storage,
    queries: Query | Sequence[Query],
    k: int | None = None,
    where: str | None = None,
    exclude: Query | Sequence[Query] = (),
    weights: Sequence[float] | None = None,
    above: float | None = None,
    unique: float | None = None,
    exact: bool = False,
    encoder: str | Path | None = None,
    with_self: bool = False,
) -> Matches:
    """Find the k items (default 10) nearest to a query: an image file or URL, its bytes, a PIL image, an item id or a vector (D,).

    Several queries are examples of one thing, perhaps with `weights`; `exclude` holds examples of what it is not. Examples that are
    items of the store, by id or by path, are left out of the hits, unless `with_self`; a copy under another path is a hit. where: one SQL expression over the columns of `items`. above: only items with at least this
    score, and all of them when k is None. unique: leave out an item whose score with a better hit is at least this. exact: compare
    with every vector, without the index. Fewer than k items come back only when fewer match. Raises QueryError, ImageError, EncoderNotInStore.
    """
    if k is not None and k < 1:
        raise QueryError(f"k = {k}: expected at least 1")
    if above is not None and not -1 <= above <= 1:
        raise QueryError(f"above = {above}: expected a score, from -1 to 1")

    def answer(snapshot: Snapshot) -> Matches:
        searcher = Searcher.of(snapshot, store.encoder_record(encoder, snapshot), where, exact)
        query = embed_query(queries, _query_encoder(store, searcher, encoder), exclude, weights)
        left_out = () if with_self else query.item_ids
        hits = searcher.find(query.vector, k, left_out, above, unique)
        if above is not None and not len(hits) and len(searcher.rows):
            best = replace(searcher, index=None).find(query.vector, 1, left_out).scores
            reason = f"no item has a score of at least {above:g}" + (
                f"; the best is {best[0]:.4f}" if len(best) else ""
            )
            searcher = replace(searcher, warnings=(*searcher.warnings, reason))
        asked = {
            "k": HITS if k is None and above is None else k,
            "score from": above,
            "filter": where,
            "without near duplicates from": unique,
        }
        facts = {"store": store.path.resolve().name, "encoder": searcher.items.record.name} | asked
        shown = tuple((name, str(value)) for name, value in facts.items() if value is not None)
        found = _matches(searcher, hits, query, left_out)
        return replace(found, facts=shown, query_labels=_query_labels(searcher, query))

    return store.snapshots.answer(answer)


def search_many(
    store: Storage,
    queries: Sequence[Query | QueryExample] | NDArray[np.floating],
    k: int = HITS,
    where: str | None = None,
    exact: bool = False,
    encoder: str | Path | None = None,
    with_self: bool = False,
) -> list[Matches]:
    """Answer many queries, or the rows of an array (Q, D), each by itself, as `search` does."""
    if k < 1:
        raise QueryError(f"k = {k}: expected at least 1")

    def answer(snapshot: Snapshot) -> list[Matches]:
        searcher = Searcher.of(snapshot, store.encoder_record(encoder, snapshot), where, exact)
        wanted = embed_queries(queries, _query_encoder(store, searcher, encoder))
        if not wanted:
            return []
        left_out = [() if with_self else query.item_ids for query in wanted]
        most = max(map(len, left_out))
        found = searcher.nearest(np.concatenate([query.vector for query in wanted]), *with_spare(k + most, most))
        return [
            _matches(searcher, hits.without(own).first(k), query, own)
            for hits, query, own in zip(found, wanted, left_out, strict=True)
        ]

    return store.snapshots.answer(answer)


def neighbours(
    store: Storage,
    k: int | None = None,
    exact: bool = False,
    encoder: str | Path | None = None,
    listener: Listener | None = None,
) -> Neighbours:
    """Find the k nearest items of every item, without itself: the k-NN graph of the collection.

    k: None is 20, or as many others as there are. exact: compare all with all, without the index. Raises EvaluationError when there are
    not more than k items, or there is one only.
    """
    snapshot = store.snapshots.now()
    searcher = Searcher.of(snapshot, store.encoder_record(encoder, snapshot), None, exact, load=True)
    ids = snapshot.item_vectors(searcher.items.record.fingerprint).items.ids
    vectors = searcher.items.vectors
    k = max(1, min(NEIGHBOURS, len(ids) - 1)) if k is None else k
    scores, places = nearest_rows(vectors, searcher.rows, k, searcher.index, listener or Listener())
    return Neighbours(ids, ids[places], scores)


def features(
    store: Storage, split: str | None = None, encoder: str | Path | None = None
) -> tuple[NDArray[np.int64], NDArray[np.float32], NDArray[Any]]:
    """Give ids (N,), vectors float32 (N, D) and labels (N,) (None where there is none), of one split or of all items."""
    view = store.view(encoder)
    splits, labels = (column.to_numpy(zero_copy_only=False) for column in (view.items.splits, view.items.labels))
    chosen = np.ones(len(splits), bool) if split is None else splits == split
    vectors = np.asarray(view.vectors[view.items.rows[chosen]], np.float32)
    return view.items.ids[chosen], vectors, labels[chosen]


def slow(store: Storage) -> list[str]:
    """Say why searches are slower than they need to be, where `optimize` would help."""
    snapshot = store.snapshots.now()
    reasons = (why_slow(record, snapshot.index(record)) for record in snapshot.encoders)
    return [reason for reason in reasons if reason is not None]


def _query_encoder(store: Storage, searcher: Searcher, named: str | Path | None) -> QueryEncoder:
    file = Path(named) if named is not None and Path(named).is_file() else None
    record = searcher.items.record
    return QueryEncoder(
        record.name, record.dim, lambda: store.encoders.open(record, file), searcher.vectors_of, searcher.items.ids_at
    )


def _query_labels(searcher: Searcher, query: QueryVector) -> tuple[str, ...]:
    """Find the labels that all examples have: known when all are items of the store."""
    if len(query.item_ids) < len(query.shown) or any(shown.negative for shown in query.shown):
        return ()
    items = searcher.items.by_id(query.item_ids)
    each = zip(items.labels.to_pylist(), items.label_lists.to_pylist(), strict=True)
    return tuple(sorted(set.intersection(*(set(several or [one]) - {None} for one, several in each))))


def _matches(searcher: Searcher, hits: Hits, query: QueryVector, left_out: tuple[int, ...]) -> Matches:
    lists = {item: labels for item, labels in zip(hits.ids.tolist(), hits.label_lists, strict=True) if labels}
    scores = hits.scores.clip(-1, 1)
    return Matches(
        hits.ids, scores, hits.paths, hits.labels, query.shown, searcher.warnings, lists, left_out, bands=searcher.items.record.bands
    )  # fmt: skip
