"""Files of k-NN graphs: derived from the vectors, and read only where nothing in them is wrong."""

from collections.abc import Callable
from pathlib import Path
from struct import Struct

import numpy as np

from featurestore.ann.knn_graph import KnnGraph
from featurestore.system.checked_file import read_checked, write_checked

HEADER = Struct("<8s32sQQId")  # MAGIC, hash and number of the vectors, M, k, recall
MAGIC = b"knngrf1\n"
TYPES = ("<i8", "<i4", "<f4")  # of rows (M,), indices (M, k) and scores (M, k), which follow
MOST_NEIGHBOURS = 1000  # of a row
SLACK = 1e-3  # by which float32 scores of float16 vectors may exceed 1


def save_graph(graph: KnnGraph, path: Path, vectors: bytes, covered: int) -> None:
    """Write a graph of the first `covered` rows of a vector file; vectors: a hash of these, of 32 bytes. Raises DiskError."""
    header = HEADER.pack(MAGIC, vectors, covered, *graph.indices.shape, graph.recall)
    arrays = zip((graph.rows, graph.indices, graph.scores), TYPES, strict=True)
    write_checked(path, [header, *(np.ascontiguousarray(values, kind).tobytes() for values, kind in arrays)])


def open_graph(path: Path, hash_of: Callable[[int], bytes | None], total: int) -> KnnGraph | None:
    """Read a graph; None where there is none, it is of other vectors, or is damaged. Raises StoreUntrusted.

    hash_of: the hash of the first so many of the `total` vectors; None when there are fewer.
    """
    content = read_checked(path, HEADER.size + 8 * total * (1 + MOST_NEIGHBOURS))
    if content is None or len(content) < HEADER.size:
        return None
    magic, vectors, covered, count, k, recall = HEADER.unpack_from(content)
    if len(content) != HEADER.size + 8 * count * (1 + k) or magic != MAGIC or vectors != hash_of(covered):
        return None
    rows = np.frombuffer(content, TYPES[0], count, HEADER.size)
    indices = np.frombuffer(content, TYPES[1], count * k, HEADER.size + 8 * count)
    scores = np.frombuffer(content, TYPES[2], count * k, HEADER.size + 8 * count + 4 * count * k)
    graph = KnnGraph(rows, indices.reshape(count, k).astype(np.int64), scores.reshape(count, k), recall)
    return graph if _makes_sense(graph, covered) else None


def _makes_sense(graph: KnnGraph, covered: int) -> bool:
    """Whether rows, neighbours and scores are what they can be; a stranger's file may have a checksum that fits."""
    rows, indices, scores = graph.rows, graph.indices, graph.scores
    return bool(
        (rows[:-1] < rows[1:]).all()
        and (not len(rows) or (rows[0] >= 0 and rows[-1] < covered))
        and ((indices >= 0) & (indices < len(rows)) & (indices != np.arange(len(rows))[:, None])).all()
        and (np.abs(scores) <= 1 + SLACK).all()
        and (np.diff(scores, axis=1) <= 0).all()
        and 0 <= graph.recall <= 1
    )
