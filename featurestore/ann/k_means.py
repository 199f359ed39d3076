"""k-means groups of unit vectors by cosine similarity."""

import faiss
import numpy as np
from numpy.typing import NDArray

from featurestore.ann.faiss_index import Floats, Ints, finite_floats
from featurestore.errors import EvaluationError
from featurestore.progress import Listener

ROUNDS = 20
A_GROUP = 256  # vectors of each group that the centres are found from, at most
PART = 65_536  # vectors assigned together


def k_means(
    vectors: NDArray[np.float16], rows: Ints, groups: int, seed: int, listener: Listener
) -> tuple[Floats, Ints]:
    """Find groups of M rows of a vector file: centres (G, D) of unit length, and the group of each row (M,).

    Raises EvaluationError when there are not from 1 to M groups, StoreCorrupt for vectors that are not finite.
    """
    if not 1 <= groups <= len(rows):
        raise EvaluationError(f"{groups} clusters: expected from 1 to {len(rows)}, the number of images")
    drawn = np.sort(np.random.default_rng(seed).permutation(len(rows))[: groups * A_GROUP])
    listener.start("finding clusters", None)
    means = faiss.Kmeans(
        vectors.shape[1], groups, niter=ROUNDS, seed=seed % 2**31, spherical=True, min_points_per_centroid=1,
        init_method=faiss.ClusteringInitMethod_KMEANS_PLUS_PLUS,
    )  # fmt: skip
    means.train(finite_floats(vectors[rows[drawn]]))
    centres: Floats = means.centroids
    group = np.empty(len(rows), np.int64)
    listener.start("assigning to clusters", len(rows))
    for start in range(0, len(rows), PART):
        part = slice(start, start + PART)
        group[part] = (finite_floats(vectors[rows[part]]) @ centres.T).argmax(axis=1)
        listener.advance(len(group[part]))
    return centres, group
