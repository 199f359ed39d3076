"""Pairs of pictures that show the same shot: proposed by vectors and by pixels, confirmed by pixels."""

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
from featurestore.storage.thumbnails import Thumbnails

KINDS = EXACT, NEAR, MIRRORED = "exact", "near", "mirrored"

TOGETHER = 1 << 22  # pairs that are looked at


class Pairs(NamedTuple):
    """Pairs of nodes of a graph that show the same picture, surest first."""

    left: Ints  # (P,), less than `right`
    right: Ints
    score: Floats  # from 0 to 1
    mirrored: NDArray[np.bool_]


def same_pictures(
    graph: KnnGraph, vectors: NDArray[np.float16], pictures: Thumbnails, listener: Listener
) -> tuple[Pairs, Limit, float]:
    """Find the pairs of M nodes that show the same picture, the limit, and the recall of proposals; pictures: (M,), of the nodes.

    Vectors propose crops and pictures of other colours, pixels propose smaller and mirrored ones. Each proposal is confirmed by pixels.
    """
    left, right, recall = proposals(graph, pictures, listener)
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
    pairs = Pairs(every.left[order], every.right[order], sure[order], every.mirrored[order])
    return pairs, limit, min(recall, graph.recall)
