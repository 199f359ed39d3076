"""Single measurements of a store's search, and of FAISS called directly on the same data. Each runs in its own process."""

import subprocess
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from statistics import median
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from benchmarks.search.ground_truth import K, blocks_of, items_of, vectors_of
from benchmarks.search.latency import Latency, ask, recall
from benchmarks.stores import queries_of
from featurestore import FeatureStore
from featurestore.ann.tuning import IndexCard
from featurestore.catalog import Catalog

THREADS = 4
WARM = 3  # calls before timing: from the third on, a store has its items in memory
MANY = 1_000  # queries in one call


def ours(path: str, truth: str, where: str | None = None, exact: bool = False) -> Latency:
    """Search a store as a user does: hits with path and label."""
    store = FeatureStore.open(path)
    queries = np.load(queries_of(Path(path)))
    if where is not None:
        store.search(queries[-1], k=K)  # so that the first filtered search pays only for the filter
    return ask(lambda query: store.search(query, k=K, where=where, exact=exact).ids, queries, np.load(truth))


def faiss_flat(path: str, truth: str) -> Latency:
    """Call `faiss.knn` on float32 vectors in memory, without paths and labels."""
    vectors, ids = _in_memory(path)
    queries = np.load(queries_of(Path(path)))

    def search(query: NDArray[np.float32]) -> NDArray[np.int64]:
        _, positions = faiss.knn(query[None], vectors, K, metric=faiss.METRIC_INNER_PRODUCT)
        return np.asarray(ids[positions[0]])

    return ask(search, queries, np.load(truth))


def _in_memory(path: str) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    items = items_of(Path(path))
    blocks = [block for _, block in blocks_of(Path(path), items["row"].to_numpy())]
    return np.concatenate(blocks), items["id"].to_numpy()


def by_vector(path: str, reopen: bool) -> float:
    """Median milliseconds of 100 searches by vector; `reopen` opens the store anew for each, so that it reads the catalog again."""
    store = FeatureStore.open(path)
    query = np.random.default_rng(0).normal(size=store.info()["encoders"][0]["dim"])
    store.search(query)
    times = []
    for _ in range(100):
        if reopen:
            store = FeatureStore.open(path)
        began = time.perf_counter()
        store.search(query)
        times.append(1000 * (time.perf_counter() - began))
    return median(times)


def command(line: Sequence[str]) -> float:
    """Seconds of a whole command."""
    began = time.perf_counter()
    subprocess.run(line, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - began


# -- the index


def build(path: str) -> dict[str, float]:
    """Build the index of a store from scratch: seconds, bytes, and its size as a share of the vectors' bytes."""
    _catalog(path).indexes.drop(_catalog(path).encoders.all()[0].fingerprint)
    began = time.perf_counter()
    FeatureStore.open(path).optimize()
    seconds = time.perf_counter() - began
    [record] = _catalog(path).indexes.all()
    return {"seconds": seconds, "share": record.bytes / vectors_of(Path(path)).nbytes, "bytes": record.bytes}


def _catalog(path: str) -> Catalog:
    return Catalog(Path(path) / "catalog.duckdb")


class RawIndex:
    """FAISS on a store's own index file with the settings our search uses, re-ranked in numpy in the same way."""

    def __init__(self, path: str) -> None:
        [record] = _catalog(path).indexes.all()
        self.setting = IndexCard.from_json(record.card).setting(K, 1.0)
        self.index = faiss.read_index(str(Path(path) / "indexes" / record.file))
        self.index.nprobe = self.setting.probes
        self.vectors = vectors_of(Path(path))
        items = items_of(Path(path))
        self.rows, self.ids = items["row"].to_numpy(), items["id"].to_numpy()

    def search(self, queries: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return ids (Q, K), best first."""
        _, candidates = self.index.search(queries, self.setting.candidates)
        best = [self._best(query, rows[rows >= 0]) for query, rows in zip(queries, candidates, strict=True)]
        return np.asarray(self.ids[np.searchsorted(self.rows, best)])

    def _best(self, query: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.int64]:
        scores = self.vectors[rows].astype(np.float32) @ query
        return np.asarray(rows[np.argsort(-scores)[:K]])


# -- throughput: queries a second, and recall


def ours_in_threads(path: str, truth: str) -> dict[str, float]:
    """THREADS threads on one store, each with one query at a time."""
    store = FeatureStore.open(path)
    return _in_threads(lambda query: store.search(query, k=K).ids, path, truth)


def raw_in_threads(path: str, truth: str) -> dict[str, float]:
    """The same with FAISS and numpy."""
    raw = RawIndex(path)
    return _in_threads(lambda query: raw.search(query[None])[0], path, truth)


def ours_in_one_call(path: str, truth: str) -> dict[str, float]:
    """MANY queries in one call."""
    store = FeatureStore.open(path)
    return _in_one_call(lambda queries: [found.ids for found in store.search_many(queries, k=K)], path, truth)


def raw_in_one_call(path: str, truth: str) -> dict[str, float]:
    """The same with FAISS and numpy."""
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
    """Seconds to find the k neighbours of every item, and recall on a sample of 500."""
    store = FeatureStore.open(path)
    began = time.perf_counter()
    found = store.neighbours(k=k)
    seconds = time.perf_counter() - began
    vectors, ids = _in_memory(path)
    sample = np.random.default_rng(0).choice(len(ids), min(500, len(ids)), replace=False)
    _, positions = faiss.knn(vectors[sample], vectors, k + 1, metric=faiss.METRIC_INNER_PRODUCT)
    true = np.stack([line[line != own][:k] for line, own in zip(positions, sample, strict=True)])
    return {"seconds": seconds, "recall": recall(found.neighbours[sample], ids[true])}


def faiss_graph(path: str, k: int) -> dict[str, float]:
    """The same with `faiss.knn` on float32 vectors in memory, where each vector is its own first neighbour."""
    vectors, _ = _in_memory(path)
    began = time.perf_counter()
    faiss.knn(vectors, vectors, k + 1, metric=faiss.METRIC_INNER_PRODUCT)
    return {"seconds": time.perf_counter() - began, "recall": 1.0}
