"""Pairs of pictures that show the same shot: proposed by vectors and by pixels, confirmed by pixels.

Stores keep what is found: whoever changes it raises the number in `storage.kept_pairs.MAGIC`.
"""

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from featurestore.ann.exact import scan
from featurestore.ann.faiss_index import floats
from featurestore.ann.knn_graph import KnnGraph
from featurestore.curation.alignment import FLAT, SIDE, Floats, Grey, Ints, Reduced, coarse_likeness, likeness, reduced
from featurestore.errors import StoreCorrupt
from featurestore.progress import Listener
from featurestore.storage.thumbnails import Thumbnails

KINDS = EXACT, NEAR, MIRRORED = "exact", "near", "mirrored"

BY_PIXELS = 5  # neighbours that are proposed by pixels, as they are and mirrored
WAVES = 8  # cosines a side, of which a signature is made
TYPICAL_FROM = 9  # the neighbours from the tenth on are what is typically near
COARSE_LEAST = 0.90  # coarse likeness from which a pair is looked at closely; copies had 0.91 and more
COARSE_SLACK = 0.03  # by which the better one of a picture and its mirror image may seem the worse
LEAST = 0.988  # score from which a pair counts as one picture
ROUNDING = 1e-3  # of scores of float16 vectors: smaller distances say nothing
CLOSEST = 0.37  # closeness below which vectors add nothing more: pixels must agree as well
UNSEEN = 0.1  # closeness up to which vectors alone are believed, where a picture cannot be looked at
TOGETHER = 65_536  # pairs
QUERIES = 16_384  # pictures whose pixels are compared with all others at a time


class Pairs(NamedTuple):
    """Pairs of nodes of a graph that show the same picture, surest first."""

    left: Ints  # (P,), less than `right`
    right: Ints
    score: Floats  # from 0 to 1
    mirrored: NDArray[np.bool_]


def same_pictures(graph: KnnGraph, vectors: NDArray[np.float16], pictures: Thumbnails, listener: Listener) -> Pairs:
    """Find the pairs of M nodes that show the same picture; pictures: (M,), of the nodes.

    Vectors propose crops and pictures of other colours, pixels propose smaller and mirrored ones. Each proposal is confirmed by pixels.
    """
    left, right = _proposals(graph, pictures, listener)
    typical = typical_distance(graph)
    seen = pictures.known[left] & pictures.known[right]
    listener.start("comparing pictures", len(left))
    plain, mirror = np.zeros((2, len(left)), np.float32)
    small = reduced(pictures.grey)
    for start in range(0, len(left), TOGETHER):
        part = np.flatnonzero(seen[start : start + TOGETHER]) + start
        plain[part], mirror[part] = confirm(pictures.grey, small, left[part], right[part])
        listener.advance(min(TOGETHER, len(left) - start))
    chosen = np.flatnonzero((plain > 0) | (mirror > 0) | ~seen)
    left, right, seen, plain, mirror = left[chosen], right[chosen], seen[chosen], plain[chosen], mirror[chosen]
    near = closeness(graph, vectors, typical, left, right)
    as_it_is, turned = combined(plain, near), combined(mirror, near)
    mirrored = (turned > as_it_is) & (as_it_is < LEAST)
    score = np.where(seen, np.where(mirrored, turned, as_it_is), near <= UNSEEN)
    taken = np.flatnonzero(score >= LEAST)
    taken = taken[np.lexsort((right[taken], left[taken], -score[taken]))]
    return Pairs(left[taken], right[taken], score[taken].astype(np.float32), mirrored[taken])


def confirm(grey: Grey, small: Reduced, left: Ints, right: Ints) -> tuple[Floats, Floats]:
    """Compare the pixels of pairs of pictures, (M, SIDE, SIDE) and `reduced`, as they are and mirrored: likeness (P,), (P,), from 0 to 1; 0 where the coarse one is too low."""
    coarse = coarse_likeness(small, left, right)
    least = np.maximum(COARSE_LEAST, coarse.max(axis=1) - COARSE_SLACK)
    found = np.zeros((2, len(left)), np.float32)
    for way, columns in enumerate((coarse[:, :2], coarse[:, 2:])):
        looked = np.flatnonzero(columns.max(axis=1) >= least)
        turned = columns[looked].argmax(axis=1) == 1  # the left picture is the part
        wholes, parts = np.where(turned, (right[looked], left[looked]), (left[looked], right[looked]))
        found[way, looked] = likeness(grey, wholes, parts, mirror=way == 1)
    return found[0], found[1]


def combined(likeness: Floats | float, closeness: Floats) -> Floats:
    """Join what pixels and vectors say of pairs, from 0 to 1: the likeness, and more where the vectors are closer than is typical.

    Both are added on the scale of atanh (Fisher 1915), on which likeness near 1 is spread out.
    """
    return np.asarray(
        np.tanh(np.arctanh(np.clip(likeness, 0, 1 - 1e-6)) - np.log(np.clip(closeness, CLOSEST, 1))), np.float32
    )


def typical_distance(graph: KnnGraph) -> Floats:
    """Give the distance, 1 - score, that is typical of the neighbours of each node, without the nearest ones: (M,)."""
    if graph.k == 0:
        return np.ones(len(graph.rows), np.float32)
    return np.asarray(1 - np.median(graph.scores[:, min(TYPICAL_FROM, graph.k - 1) :], axis=1), np.float32)


def closeness(graph: KnnGraph, vectors: NDArray[np.float16], typical: Floats, left: Ints, right: Ints) -> Floats:
    """Compare the distance of pairs, 1 - score, with that of the typical neighbours of both: (P,), less than 1 for those that are nearer."""
    scores = np.empty(len(left), np.float32)
    for start in range(0, len(left), TOGETHER):
        part = slice(start, start + TOGETHER)
        a, b = (floats(vectors[graph.rows[of[part]]]) for of in (left, right))
        scores[part] = np.einsum("pd,pd->p", a, b)
    if not np.isfinite(scores).all():
        raise StoreCorrupt(
            "some vectors are not finite: they were damaged after they were written; see: featurestore verify STORE --repair"
        )
    scale = np.sqrt(typical[left].clip(ROUNDING) * typical[right].clip(ROUNDING))
    return np.asarray((1 - scores).clip(ROUNDING) / scale, np.float32)


def _proposals(graph: KnnGraph, pictures: Thumbnails, listener: Listener) -> tuple[Ints, Ints]:
    """Give the pairs to look at: neighbours by vectors, and by signatures as they are and mirrored; each once, the smaller node first."""
    count = len(graph.rows)
    found = [graph.indices]
    own = signatures(pictures.grey)
    stored, rows = own.astype(np.float16), np.flatnonzero(own.any(axis=1))
    listener.start("finding pictures with similar pixels", 2 * len(rows))
    for asked in (own, own * mirror_signs()) if len(rows) > 1 else ():
        near = np.repeat(np.arange(count)[:, None], min(BY_PIXELS + 1, len(rows)), axis=1)
        for start in range(0, len(rows), QUERIES):
            part = rows[start : start + QUERIES]
            near[part] = scan(asked[part], stored, rows, near.shape[1])[1]
            listener.advance(len(part))
        found.append(near)
    nodes = np.concatenate([np.repeat(np.arange(count), near.shape[1]) for near in found])
    others = np.concatenate([near.ravel() for near in found])
    left, right = np.minimum(nodes, others), np.maximum(nodes, others)
    keys = np.unique((left * count + right)[left < right])
    return keys // max(1, count), keys % max(1, count)


def signatures(grey: Grey) -> Floats:
    """Make vectors of unit length that are near for pictures with similar pixels: the low cosines of each, (M, WAVES**2); 0 for one colour."""
    found = np.empty((len(grey), WAVES**2), np.float32)
    for start in range(0, len(grey), TOGETHER):
        part = cosines() @ grey[start : start + TOGETHER].astype(np.float32) @ cosines().T
        found[start : start + TOGETHER] = part.reshape(len(part), -1)
    found[:, 0] = 0  # brightness
    length = np.linalg.norm(found, axis=1, keepdims=True)
    return np.where(length > FLAT * SIDE, found / length.clip(1e-6), 0)


@cache
def cosines() -> Floats:
    """Give the first rows of the discrete cosine transform (DCT-II), (WAVES, SIDE), each of length 1."""
    wave = np.cos(np.pi * np.arange(WAVES)[:, None] * (np.arange(SIDE) + 0.5) / SIDE)
    return np.asarray(wave / np.linalg.norm(wave, axis=1, keepdims=True), np.float32)


def mirror_signs() -> Floats:
    """Give what turns a signature into that of the mirrored picture: the cosines with odd waves from left to right change their sign."""
    return np.tile(np.where(np.arange(WAVES) % 2, -1, 1), WAVES).astype(np.float32)
