"""Do pairs of pictures show the same shot? Their pixels are compared, at the place that fits best, and vectors are a part of the evidence."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from featurestore.ann.faiss_index import floats
from featurestore.ann.knn_graph import KnnGraph
from featurestore.curation.alignment import align
from featurestore.curation.coarse_search import CoarseLikeness, Reduced, coarse_likeness, window_shares
from featurestore.curation.detail import detail_likeness
from featurestore.curation.limit import DETAIL_LEAST, DIFFERENT, LEAST
from featurestore.curation.pixels import Floats, Grey, Ints, spread_out
from featurestore.errors import StoreCorrupt
from featurestore.progress import Listener

TYPICAL_FROM = 9  # the neighbours from the tenth on are what is typically near
COARSE_LEAST = 0.90  # coarse likeness from which a pair is looked at closely; copies had 0.91 and more
COARSE_SLACK = 0.03  # by which the better one of a picture and its mirror image may seem the worse
ROUNDING = 1e-3  # of scores of float16 vectors: smaller distances say nothing
CLOSEST = 0.37  # closeness below which vectors add nothing more: pixels must agree as well
UNSEEN = 0.1  # closeness up to which vectors alone are believed, where a picture cannot be looked at
PART = 65_536  # pairs whose vectors are widened at a time


class Candidates(NamedTuple):
    """Pairs that may show the same picture, and others that are less alike."""

    left: Ints  # (P,), less than `right`
    right: Ints
    score: Floats  # (P,), from 0 to 1: large forms and vectors
    detail: Floats  # (P,), from 0 to 1
    mirrored: NDArray[np.bool_]
    seen: NDArray[np.bool_]  # whether their pictures could be looked at; otherwise vectors alone are the score

    def take(self, places: Ints) -> "Candidates":
        """Choose some of them."""
        left, right, score, detail, mirrored, seen = self
        return Candidates(left[places], right[places], score[places], detail[places], mirrored[places], seen[places])


def likely(
    pictures: Reduced, known: NDArray[np.bool_], left: Ints, right: Ints, listener: Listener
) -> tuple[Ints, CoarseLikeness]:
    """Say which pairs have a coarse likeness that copies have, or a picture that is not known, and what it is: places (C,), of each (C, 4)."""
    seen = known[left] & known[right]
    found = CoarseLikeness(np.zeros((len(left), 4), np.float32), np.zeros((len(left), 4), np.int16))
    found.likeness[seen], found.window[seen] = coarse_likeness(pictures, left[seen], right[seen], listener)
    listener.advance(2 * int((~seen).sum()))
    chosen = np.flatnonzero((found.likeness.max(axis=1) >= COARSE_LEAST) | ~seen)
    return chosen, CoarseLikeness(found.likeness[chosen], found.window[chosen])


def confirm(
    grey: Grey, seen: NDArray[np.bool_], left: Ints, right: Ints, near: Floats, coarse: CoarseLikeness
) -> Candidates:
    """Compare pairs of pictures closely, as they are and mirrored, and keep those that are alike.

    grey: (M, SIDE, SIDE); left, right: (P,), places there; seen: (P,), whether both pictures are known; near: (P,), `closeness`.
    """
    score, detail = np.zeros((2, 2, len(left)), np.float32)
    best, needed = coarse.likeness.max(axis=1), likeness_needed(near)
    for way in (0, 1):
        fits = coarse.likeness[:, 2 * way : 2 * way + 2]
        looked = np.flatnonzero(fits.max(axis=1) >= np.maximum(COARSE_LEAST, best - COARSE_SLACK))
        turn = fits[looked].argmax(axis=1)  # 1: the left picture is the part
        begin = window_shares()[coarse.window[looked, 2 * way + turn]]
        wholes, parts = np.where(turn, (right[looked], left[looked]), (left[looked], right[looked]))
        aligned = align(grey, wholes, parts, begin, needed[looked], mirror=way == 1)
        score[way, looked] = combined(aligned.likeness, near[looked])
        alike = np.flatnonzero(score[way, looked] >= DIFFERENT[0])
        detail[way, looked[alike]] = detail_likeness(grey, wholes[alike], parts[alike], aligned.window[alike], way == 1)
    as_it_is = (score[0] >= LEAST) & (detail[0] >= DETAIL_LEAST)  # a symmetrical picture
    mirrored = ~as_it_is & (spread_out(score[1]) + spread_out(detail[1]) > spread_out(score[0]) + spread_out(detail[0]))
    by_vectors = near <= UNSEEN
    score, detail = (np.where(seen, np.where(mirrored, of[1], of[0]), by_vectors) for of in (score, detail))
    found = Candidates(left, right, score.astype(np.float32), detail.astype(np.float32), mirrored, seen)
    return found.take(np.flatnonzero(score >= DIFFERENT[0]))


def likeness_needed(closeness: Floats) -> Floats:
    """Give the likeness from which pairs count as one picture: less where their vectors are near."""
    return np.asarray(np.tanh(np.arctanh(LEAST) + np.log(np.clip(closeness, CLOSEST, 1))), np.float32)


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
    for start in range(0, len(left), PART):
        part = slice(start, start + PART)
        a, b = (floats(vectors[graph.rows[of[part]]]) for of in (left, right))
        scores[part] = np.einsum("pd,pd->p", a, b)
    if not np.isfinite(scores).all():
        raise StoreCorrupt(
            "some vectors are not finite: they were damaged after they were written; see: featurestore verify STORE --repair"
        )
    scale = np.sqrt(typical[left].clip(ROUNDING) * typical[right].clip(ROUNDING))
    return np.asarray((1 - scores).clip(ROUNDING) / scale, np.float32)
