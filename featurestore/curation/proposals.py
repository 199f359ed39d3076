"""Which pairs of pictures are worth comparing: those with near vectors, and those with similar pixels, as they are and mirrored."""

import numpy as np

from featurestore.ann.exact import scan
from featurestore.ann.knn_graph import KnnGraph
from featurestore.curation.alignment import SIDE
from featurestore.curation.pixels import FLAT, Floats, Grey, Ints, cosines
from featurestore.progress import Listener
from featurestore.storage.thumbnails import Thumbnails

BY_PIXELS = 5  # neighbours that are proposed by pixels, as they are and mirrored
WAVES = 8  # cosines a side, of which a signature is made
QUERIES = 16_384  # pictures whose pixels are compared with all others at a time
PART = 65_536  # pictures whose signatures are made at a time


def proposals(graph: KnnGraph, pictures: Thumbnails, listener: Listener) -> tuple[Ints, Ints]:
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
