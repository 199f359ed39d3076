"""Which pairs of pictures are worth comparing: those with near vectors, and those with similar pixels, as they are and mirrored."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from featurestore.ann.exact import scan
from featurestore.ann.faiss_index import InvertedFile
from featurestore.ann.knn_graph import KnnGraph
from featurestore.curation.alignment import SIDE
from featurestore.curation.pixels import FLAT, Floats, Grey, Ints, cosines
from featurestore.progress import Listener
from featurestore.storage.thumbnails import Thumbnails

BY_PIXELS = 5  # neighbours that are proposed by pixels, as they are and mirrored
WAVES = 8  # cosines a side, of which a signature is made
QUERIES = 16_384  # pictures whose pixels are compared with others at a time
PART = 65_536  # pictures whose signatures are made at a time
BY_LISTS_FROM = 100_000  # pictures; fewer are all compared with all
PROBES = 64  # lists that are visited, of 4 sqrt(N)
SAMPLED = 1_000  # pictures whose neighbours by lists are compared with the exact ones
ROUNDING = 1e-4  # by which scores of the same pair may differ

Search = Callable[[Floats], tuple[Floats, Ints]]  # the nearest of some signatures, (Q, D): scores and indices, (Q, k)


class Proposals(NamedTuple):
    """Pairs of nodes to look at, each once."""

    left: Ints  # (P,), less than `right`
    right: Ints
    recall: float  # of the nearest by pixels; less than 1 where only some are compared with each


def proposals(graph: KnnGraph, pictures: Thumbnails, listener: Listener) -> Proposals:
    """Give the pairs to look at: neighbours by vectors, and by signatures as they are and mirrored."""
    count = len(graph.rows)
    own = signatures(pictures.grey)
    rows = np.flatnonzero(own.any(axis=1))
    alike, recall = similar(own[rows], listener)
    keys = [_keys(np.arange(count), graph.indices, count), *(_keys(rows, rows[near], count) for near in alike)]
    every = np.unique(np.concatenate(keys))
    return Proposals(every // max(1, count), every % max(1, count), recall)


def similar(own: Floats, listener: Listener) -> tuple[list[Ints], float]:
    """Find the nearest of S signatures to each of them, as it is and mirrored, (S, BY_PIXELS + 1) each, and with what recall.

    A signature is among its own neighbours. From BY_LISTS_FROM on only those in the nearest lists of an inverted file are compared.
    """
    count = len(own)
    if count < 2:
        return [], 1.0
    stored, every, k = own.astype(np.float16), np.arange(count), min(BY_PIXELS + 1, count)

    def exactly(asked: Floats) -> tuple[Floats, Ints]:
        return scan(asked, stored, every, k)

    listener.start("preparing to find similar pixels", None)
    search, recall = (exactly, 1.0) if count < BY_LISTS_FROM else _by_lists(own, k, exactly)
    listener.start("finding pictures with similar pixels", 2 * count)

    def nearest(asked: Floats) -> Ints:
        near = np.empty((count, k), np.int64)
        for start in range(0, count, QUERIES):
            part = slice(start, start + QUERIES)
            near[part] = search(asked[part])[1]
            listener.advance(len(near[part]))
        return np.where(near < 0, every[:, None], near)  # itself, where the lists have too few

    return [nearest(own), nearest(own * mirror_signs())], recall


def _by_lists(own: Floats, k: int, exactly: Search) -> tuple[Search, float]:
    """Give a faster search, and the share of the k nearest that it finds, measured on a sample."""
    lists = InvertedFile(own, int(4 * len(own) ** 0.5), PROBES, seed=0)
    sample = own[np.random.default_rng(0).permutation(len(own))[:SAMPLED]]
    found, wanted = lists.search(sample, k)[0], exactly(sample)[0]
    return lambda asked: lists.search(asked, k), float((found >= wanted[:, -1:] - ROUNDING).mean())


def _keys(nodes: Ints, near: Ints, count: int) -> Ints:
    """Give a number for each pair of a node, (S,), and one of its neighbours, (S, k), among `count` nodes: smaller node times `count` plus larger one."""
    left, right = np.minimum(nodes[:, None], near), np.maximum(nodes[:, None], near)
    return np.asarray((left * count + right)[left < right])


def signatures(grey: Grey) -> Floats:
    """Make vectors of unit length that are near for pictures with similar pixels: the low cosines of each, (M, WAVES**2); 0 for one colour."""
    low, found = cosines(WAVES, SIDE), np.empty((len(grey), WAVES**2), np.float32)
    for start in range(0, len(grey), PART):
        part = low @ grey[start : start + PART].astype(np.float32) @ low.T
        found[start : start + PART] = part.reshape(len(part), -1)
    found[:, 0] = 0  # brightness
    length = np.linalg.norm(found, axis=1, keepdims=True)
    return np.where(length > FLAT * SIDE, found / length.clip(1e-6), 0)


def mirror_signs() -> Floats:
    """Give what turns a signature into that of the mirrored picture: the cosines with odd waves from left to right change their sign."""
    return np.tile(np.where(np.arange(WAVES) % 2, -1, 1), WAVES).astype(np.float32)
