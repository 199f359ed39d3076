"""Single measurements of our search, and of FAISS called directly on the same data; each for a process of its own."""

import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from benchmarks.answers import Answers, K, ask, blocks_of, items_of, recall, vectors_of
from benchmarks.stores import queries_of
from featurestore import FeatureStore
from featurestore.ann.tuning import IndexCard
from featurestore.catalog import Catalog

THREADS = 4
WARM = 3  # calls beforehand: from the third on, a store has its items in memory
MANY = 1_000  # queries of one call


def ours(path: str, truth: str, where: str | None = None, exact: bool = False) -> Answers:
    """Search a store, as a user does: hits with path and label."""
    store = FeatureStore.open(path)
    queries = np.load(queries_of(Path(path)))
    if where is not None:
        store.search(queries[-1], k=K)  # so that the first search with the filter pays for nothing else
    return ask(lambda query: store.search(query, k=K, where=where, exact=exact).ids, queries, np.load(truth))


def faiss_flat(path: str, truth: str) -> Answers:
    """Call `faiss.knn` on float32 vectors in memory: no path, no label."""
    vectors, ids = _in_memory(path)
    queries = np.load(queries_of(Path(path)))

    def search(query: NDArray[np.float32]) -> NDArray[np.int64]:
        _, places = faiss.knn(query[None], vectors, K, metric=faiss.METRIC_INNER_PRODUCT)
        return np.asarray(ids[places[0]])

    return ask(search, queries, np.load(truth))


def _in_memory(path: str) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    items = items_of(Path(path))
    blocks = [block for _, block in blocks_of(Path(path), items["row"].to_numpy())]
    return np.concatenate(blocks), items["id"].to_numpy()


# -- the index


def build(path: str) -> dict[str, float]:
    """Build the index of a store from nothing: seconds, and its share of the bytes of the vectors."""
    _catalog(path).indexes.drop(_catalog(path).encoders.all()[0].fingerprint)
    began = time.perf_counter()
    FeatureStore.open(path).optimize()
    seconds = time.perf_counter() - began
    [record] = _catalog(path).indexes.all()
    return {"seconds": seconds, "share": record.bytes / vectors_of(Path(path)).nbytes, "bytes": record.bytes}


def _catalog(path: str) -> Catalog:
    return Catalog(Path(path) / "catalog.duckdb")


class RawIndex:
    """FAISS on a store's own index file with the setting that a search of ours has, and the same re-rank, in numpy."""

    def __init__(self, path: str) -> None:
        [record] = _catalog(path).indexes.all()
        self.setting = IndexCard.from_json(record.card).setting(K, 1.0)
        self.index = faiss.read_index(str(Path(path) / "indexes" / record.file))
        self.index.nprobe = self.setting.probes
        self.vectors = vectors_of(Path(path))
        items = items_of(Path(path))
        self.rows, self.ids = items["row"].to_numpy(), items["id"].to_numpy()

    def search(self, queries: NDArray[np.float32]) -> NDArray[np.int64]:
        """Give ids (Q, K), best first."""
        _, proposed = self.index.search(queries, self.setting.candidates)
        best = [self._best(query, rows[rows >= 0]) for query, rows in zip(queries, proposed, strict=True)]
        return np.asarray(self.ids[np.searchsorted(self.rows, best)])

    def _best(self, query: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.int64]:
        scores = self.vectors[rows].astype(np.float32) @ query
        return np.asarray(rows[np.argsort(-scores)[:K]])


# -- throughput: queries a second, and recall


def ours_in_threads(path: str, truth: str) -> dict[str, float]:
    """THREADS threads of one store, each with one query at a time."""
    store = FeatureStore.open(path)
    return _in_threads(lambda query: store.search(query, k=K).ids, path, truth)


def raw_in_threads(path: str, truth: str) -> dict[str, float]:
    """The same of FAISS and numpy."""
    raw = RawIndex(path)
    return _in_threads(lambda query: raw.search(query[None])[0], path, truth)


def ours_in_one_call(path: str, truth: str) -> dict[str, float]:
    """MANY queries in one call."""
    store = FeatureStore.open(path)
    return _in_one_call(lambda queries: [found.ids for found in store.search_many(queries, k=K)], path, truth)


def raw_in_one_call(path: str, truth: str) -> dict[str, float]:
    """The same of FAISS and numpy."""
    return _in_one_call(RawIndex(path).search, path, truth)


def _in_threads(search: Callable[[NDArray[np.float32]], Any], path: str, truth: str) -> dict[str, float]:
    with ThreadPoolExecutor(THREADS) as pool:
        return _rate(lambda queries: list(pool.map(search, queries)), path, truth)


def _in_one_call(search: Callable[[NDArray[np.float32]], Any], path: str, truth: str) -> dict[str, float]:
    return _rate(search, path, truth, most=MANY)


def _rate(
    search: Callable[[NDArray[np.float32]], Iterable[Any]], path: str, truth: str, most: int | None = None
) -> dict[str, float]:
    true, queries = np.load(truth)[:most], np.load(queries_of(Path(path)))
    for _ in range(WARM):
        search(queries[-100:])
    began = time.perf_counter()
    answers = list(search(queries[: len(true)]))
    return {"rate": len(true) / (time.perf_counter() - began), "recall": recall(answers, true)}


# -- the graph of all neighbours


def our_graph(path: str, k: int) -> dict[str, float]:
    """Seconds for the k neighbours of every item, and the recall of some of them."""
    store = FeatureStore.open(path)
    began = time.perf_counter()
    found = store.neighbours(k=k)
    seconds = time.perf_counter() - began
    vectors, ids = _in_memory(path)
    some = np.random.default_rng(0).choice(len(ids), min(500, len(ids)), replace=False)
    _, places = faiss.knn(vectors[some], vectors, k + 1, metric=faiss.METRIC_INNER_PRODUCT)
    true = np.stack([line[line != own][:k] for line, own in zip(places, some, strict=True)])
    return {"seconds": seconds, "recall": recall(found.neighbours[some], ids[true])}


def faiss_graph(path: str, k: int) -> dict[str, float]:
    """The same of `faiss.knn` on float32 vectors in memory, each its own first neighbour."""
    vectors, _ = _in_memory(path)
    began = time.perf_counter()
    faiss.knn(vectors, vectors, k + 1, metric=faiss.METRIC_INNER_PRODUCT)
    return {"seconds": time.perf_counter() - began, "recall": 1.0}
