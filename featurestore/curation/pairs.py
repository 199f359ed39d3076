"""Pairs of pictures that show the same shot: proposed by vectors and by pixels, confirmed by pixels."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from featurestore.ann.knn_graph import KnnGraph
from featurestore.curation.coarse_search import reduced
from featurestore.curation.confirmation import Candidates, closeness, confirm, likely, typical_distance
from featurestore.curation.in_threads import parts_of
from featurestore.curation.limit import LEAST, Limit, choose_limit
from featurestore.curation.pixels import Floats, Ints, spread_out
from featurestore.curation.proposals import proposals
from featurestore.progress import Listener
from featurestore.storage.item_graph import ItemGraph, item_graph
from featurestore.storage.storage import Storage
from featurestore.storage.thumbnails import ContentFile, Thumbnails, thumbnails

KINDS = EXACT, NEAR, MIRRORED = "exact", "near", "mirrored"

TOGETHER = 1 << 22  # pairs that are looked at
COPIES_TRIED = 4
NO_FILE = ("", 0, 0)  # of an item that was deleted meanwhile


class Pairs(NamedTuple):
    """Pairs of nodes of a graph that show the same picture, surest first."""

    left: Ints  # (P,), less than `right`
    right: Ints
    score: Floats  # from 0 to 1
    mirrored: NDArray[np.bool_]


class FoundPairs(NamedTuple):
    """The pairs of a store."""

    graph: ItemGraph
    pairs: Pairs
    unseen: int  # contents that could not be looked at: their files are gone, changed or broken
    limit: Limit


def find_pairs(store: Storage, encoder: str | Path | None, listener: Listener) -> FoundPairs:
    """Find the pairs of contents of a store that show the same picture. Raises EncoderNotInStore, StoreCorrupt, SourceError.

    The small pictures that this needs are made once, from the files, and kept in the store, and so is the k-NN graph.
    """
    graph = item_graph(store, encoder, listener)
    ids, paths = graph.view.items.ids.tolist(), graph.view.items.paths
    facts = store.catalog.items.files()
    pictures = Thumbnails.none(len(graph.graph.rows))
    order = np.argsort(graph.nodes, kind="stable")
    turn = np.arange(len(order)) - np.searchsorted(graph.nodes[order], graph.nodes[order])  # among items of one content
    for copy in range(COPIES_TRIED):  # where the first file of a content cannot be read
        places = order[turn == copy]
        places = places[~pictures.known[graph.nodes[places]]]
        if not len(places):
            break
        files = [
            ContentFile(*facts.get(ids[place], NO_FILE), path)
            for place, path in zip(places.tolist(), paths.take(places).to_pylist(), strict=True)
        ]
        found = thumbnails(store, files, listener)
        pictures.grey[graph.nodes[places]], pictures.known[graph.nodes[places]] = found
    pairs, limit = same_pictures(graph.graph, graph.view.vectors, pictures, listener)
    return FoundPairs(graph, pairs, int((~pictures.known).sum()), limit)


def same_pictures(
    graph: KnnGraph, vectors: NDArray[np.float16], pictures: Thumbnails, listener: Listener
) -> tuple[Pairs, Limit]:
    """Find the pairs of M nodes that show the same picture; pictures: (M,), of the nodes.

    Vectors propose crops and pictures of other colours, pixels propose smaller and mirrored ones. Each proposal is confirmed by pixels.
    """
    left, right = proposals(graph, pictures, listener)
    typical, small, found = typical_distance(graph), reduced(pictures.grey), []
    listener.start("comparing pictures", 2 * len(left))
    for part in parts_of(len(left), TOGETHER) or [slice(0)]:
        chosen, coarse = likely(small, pictures.known, left[part], right[part], listener)
        one, other = left[part][chosen], right[part][chosen]
        near, seen = closeness(graph, vectors, typical, one, other), pictures.known[one] & pictures.known[other]
        found.append(confirm(pictures.grey, seen, one, other, near, coarse))
    every = Candidates(*(np.concatenate(columns) for columns in zip(*found, strict=True)))
    limit = choose_limit(every.score[every.seen], every.detail[every.seen])
    taken = np.flatnonzero((every.score >= LEAST) & (every.detail >= limit.detail))
    every = every.take(taken)
    sure = np.where(every.seen, np.tanh((spread_out(every.score) + spread_out(every.detail)) / 2), 1).astype(np.float32)
    order = np.lexsort((every.right, every.left, -sure))
    return Pairs(every.left[order], every.right[order], sure[order], every.mirrored[order]), limit
