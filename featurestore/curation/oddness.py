"""How little a picture belongs to its collection, from vectors alone: three measures of distance, joined by their ranks.

Foreign pictures lie in one of two ways. A few are far from everything else. Many of one kind lie close together, often closer than the
pictures of the collection do, but with nothing around them; their nearest neighbours are foreign, too, and say nothing.
"""

import numpy as np
from numpy.typing import NDArray

from featurestore.ann.faiss_index import finite_floats, floats
from featurestore.ann.knn_graph import KnnGraph
from featurestore.progress import Listener

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]

REFERENCES = 5_000  # nodes that all are compared with
SHELL = 0.02  # of the references: the farther half of so many nearest ones is the shell of a picture
FEWEST = 20  # references within a shell
CLOSE = 3  # neighbours that say how densely a picture lies among those of its kind
ROUNDING = 1e-4  # distances below are rounding of float16
PART = 8_192  # nodes compared together


def shares_by_vectors(
    graph: KnnGraph, vectors: NDArray[np.float16], seed: int, listener: Listener
) -> NDArray[np.float64]:
    """Say how odd each of M nodes is by four measures, as the share of nodes that are as odd or odder: (4, M), above 0 and up to 1.

    The local outlier factor, which counts twice; the distance to the shell; and the same as a multiple of the distance to the closest
    neighbours. `harmonic_mean` joins them (Wilson 2019, PNAS 116, 1195): one of them is enough.
    """
    if graph.k < 2:
        return np.ones((4, len(graph.rows)))
    shell = shell_distances(graph, vectors, seed, listener)
    close = (1 - graph.scores[:, :CLOSE].mean(axis=1)).clip(ROUNDING)
    factors = local_outlier_factors(graph)
    return np.stack([upper_shares(values) for values in (factors, factors, shell, shell / close)])


def shell_distances(graph: KnnGraph, vectors: NDArray[np.float16], seed: int, listener: Listener) -> Floats:
    """Measure how far the surroundings of each node are: its mean distance, 1 - score, to its shell among the references, (M,).

    A group of foreign pictures that has fewer members than the nearer half is far from its shell, however close together they lie.
    """
    count = len(graph.rows)
    drawn = np.sort(np.random.default_rng(seed).permutation(count)[:REFERENCES])
    references = floats(vectors[graph.rows[drawn]])
    inside = min(max(FEWEST, round(SHELL * len(drawn))), len(drawn) - 1)
    far = np.empty(count, np.float32)
    listener.start("measuring distances", count)
    for start in range(0, count, PART):
        part = slice(start, start + PART)
        scores = finite_floats(vectors[graph.rows[part]]) @ references.T
        own = np.arange(start, min(start + PART, count))
        place = np.searchsorted(drawn, own).clip(max=len(drawn) - 1)
        among = np.flatnonzero(drawn[place] == own)
        scores[among, place[among]] = -np.inf  # without itself
        nearest = -np.partition(-scores, inside - 1, axis=1)[:, :inside]
        nearest.sort(axis=1)
        far[part] = 1 - nearest[:, : inside - inside // 2].mean(axis=1)
        listener.advance(len(own))
    return far.clip(ROUNDING)


def local_outlier_factors(graph: KnnGraph) -> Floats:
    """Compute the local outlier factor of each node by cosine distance (Breunig et al. 2000): (M,), about 1 within a cluster."""
    distances = (1 - graph.scores).clip(ROUNDING)
    reach = np.maximum(distances[:, -1][graph.indices], distances).mean(axis=1)
    return np.asarray(reach / harmonic_mean(reach[graph.indices].T), np.float32)


def upper_shares(values: NDArray[np.floating]) -> NDArray[np.float64]:
    """Give the share of values that are as large as each or larger: (M,), above 0 and up to 1."""
    return (len(values) - np.searchsorted(np.sort(values), values)) / len(values)


def harmonic_mean(values: NDArray[np.floating]) -> NDArray[np.floating]:
    """Compute the harmonic mean of positive values over the first axis."""
    return np.asarray(len(values) / (1 / values).sum(axis=0))
