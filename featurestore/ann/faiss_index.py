"""FAISS: the flat index, top-k, the inverted file and the RaBitQ index. The only import of faiss; its global settings are not changed."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import faiss
import numpy as np
from numpy.typing import NDArray

from featurestore.ann.tuning import POINTS
from featurestore.errors import StoreCorrupt

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
BLAS_FROM = 128_000  # queries x dimensions from which FAISS uses matrix products


class FlatIndex:
    """Exact search of float16 vectors (n, D), C order, without a copy: a mapped file stays on the disk."""

    def __init__(self, vectors: NDArray[np.float16]) -> None:
        self._vectors = vectors  # keeps the array alive: FAISS holds only its address
        count, dim = vectors.shape
        empty = _empty(dim)
        reader = faiss.ZeroCopyIOReader(faiss.swig_ptr(empty), empty.size)
        self._index = faiss.read_index(reader)  # an index that does not own its codes, so that they can be replaced
        self._index.codes = faiss.MaybeOwnedVectorUInt8.create_view(
            faiss.cast_integer_to_void_ptr(vectors.ctypes.data), vectors.nbytes, self._index.codes.owner
        )
        self._index.ntotal = count

    def search(self, queries: Floats, k: int, bits: NDArray[np.uint8] | None = None) -> tuple[Floats, Ints]:
        """Find the k best for each query: scores and indices, (Q, k), best first; k <= n. Each query takes one processor.

        bits: a mask with one bit for each vector, lowest first, set where it may be found; -1 where there are fewer than k.
        """
        selector = None if bits is None else faiss.IDSelectorBitmap(bits)
        with _threads_for(queries):
            scores, indices = self._index.search(queries, k, params=faiss.SearchParameters(sel=selector))
        return scores, indices

    def range_search(self, query: Floats, score: float, bits: NDArray[np.uint8] | None = None) -> tuple[Floats, Ints]:
        """Find all vectors with more than a score for one query (1, D): scores and indices, in no order."""
        selector = None if bits is None else faiss.IDSelectorBitmap(bits)
        with _threads_for(query):
            _, scores, indices = self._index.range_search(query, score, params=faiss.SearchParameters(sel=selector))
        return scores, indices


@cache  # a flat index is made for each search, and these bytes must outlive it
def _empty(dim: int) -> NDArray[np.uint8]:
    """Serialize an index without vectors."""
    index = faiss.IndexScalarQuantizer(dim, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT)
    return np.asarray(faiss.serialize_index(index))


def floats(vectors: NDArray[np.float16]) -> Floats:
    """Convert to float32, (n, D), three times as fast as numpy."""
    if not len(vectors):
        return np.empty(vectors.shape, np.float32)
    codec = faiss.IndexScalarQuantizer(vectors.shape[1], faiss.ScalarQuantizer.QT_fp16)
    wide: Floats = codec.sa_decode(np.ascontiguousarray(vectors).view(np.uint8))
    return wide


def finite_floats(vectors: NDArray[np.float16]) -> Floats:
    """The same. Raises StoreCorrupt when a value is not finite."""
    wide = floats(vectors)
    if not np.isfinite(wide).all():
        raise StoreCorrupt(
            "some vectors are not finite: they were damaged after they were written; see: featurestore verify STORE --repair"
        )
    return wide


def top_k(queries: Floats, block: Floats, k: int) -> tuple[Floats, Ints]:
    """Find the k best of a block for each query: scores and indices, (Q, k), best first; k <= n."""
    scores, indices = faiss.knn(queries, block, k, metric=faiss.METRIC_INNER_PRODUCT)
    return scores, indices


class InvertedFile:
    """Approximate search of many short vectors, (N, D), in memory: float16 in lists around centroids, of which the nearest are visited."""

    def __init__(self, vectors: Floats, lists: int, probes: int, seed: int) -> None:
        """Find `lists` centroids by k-means; `probes` of their lists are visited for each query."""
        count, dim = vectors.shape
        self._index = faiss.IndexIVFScalarQuantizer(
            faiss.IndexFlatIP(dim), dim, lists, faiss.ScalarQuantizer.QT_fp16, faiss.METRIC_INNER_PRODUCT
        )
        self._index.cp.seed, self._index.nprobe = seed, probes
        self._index.train(vectors[np.random.default_rng(seed).permutation(count)[: lists * POINTS]])
        self._index.add(vectors)

    def search(self, queries: Floats, k: int) -> tuple[Floats, Ints]:
        """Find the k best for each query: scores and indices, (Q, k), best first; -1 where the lists have fewer."""
        scores, indices = self._index.search(queries, k)
        return scores, indices


class RabitqIndex:
    """An inverted file (IVF) of RaBitQ codes: vectors in lists around centroids, one bit a dimension, numbered in the order of `add`.

    Gao and Long, "RaBitQ: Quantizing High-Dimensional Vectors with a Theoretical Error Bound", SIGMOD 2024.
    """

    kind = "IVF,RaBitQ"

    def __init__(self, index: "faiss.IndexIVFRaBitQ") -> None:
        self._index = index

    @classmethod
    def train(cls, sample: Floats, lists: int, iterations: int, seed: int) -> "RabitqIndex":
        """Find `lists` centroids by spherical k-means over a sample (S, D)."""
        dim = sample.shape[1]
        index = faiss.IndexIVFRaBitQ(faiss.IndexFlatIP(dim), dim, lists, faiss.METRIC_INNER_PRODUCT)
        index.cp.niter, index.cp.seed = iterations, seed
        index.cp.min_points_per_centroid, index.cp.max_points_per_centroid = 1, max(1, len(sample) // lists + 1)
        index.train(sample)
        return cls(index)

    def add(self, vectors: Floats) -> None:
        self._index.add(vectors)

    def save(self, write: Callable[[bytes], int]) -> None:
        """Pass the bytes of the index to `write`, and raise what that raises."""
        faiss.write_index(self._index, faiss.PyCallbackIOWriter(write))

    @classmethod
    def open(cls, path: Path) -> "RabitqIndex":
        """Map a saved index, read-only. Raises RuntimeError when the file is not such an index."""
        index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
        if not isinstance(index, faiss.IndexIVFRaBitQ):
            raise RuntimeError(f"an index of another kind, {type(index).__name__}")
        return cls(index)

    @property
    def count(self) -> int:
        """Number of vectors."""
        return int(self._index.ntotal)

    @property
    def lists(self) -> int:
        """Number of lists."""
        return int(self._index.nlist)

    @property
    def dim(self) -> int:
        return int(self._index.d)

    def propose(self, queries: Floats, count: int, probes: int, bits: NDArray[np.uint8] | None = None) -> Ints:
        """Find the `count` candidates with the best codes in the `probes` nearest lists: (Q, count), -1 where there are no more."""
        selector = None if bits is None else faiss.IDSelectorBitmap(bits)
        settings = faiss.IVFRaBitQSearchParameters(nprobe=probes, sel=selector)
        with _threads_for(queries):
            return np.asarray(self._index.search(queries, count, params=settings)[1])


@contextmanager
def _threads_for(queries: Floats) -> Iterator[None]:
    """Search a single query on the calling thread, since more threads would only wait. The setting belongs to this thread, and is restored."""
    if len(queries) > 1:
        yield
        return
    before = faiss.omp_get_max_threads()
    faiss.omp_set_num_threads(1)
    try:
        yield
    finally:
        faiss.omp_set_num_threads(before)
