"""The true answers to queries, computed by `faiss.knn` over float32 blocks of a store's vector file, without our search."""

from collections.abc import Iterator
from pathlib import Path

import faiss
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurestore import FeatureStore

K = 10
BLOCK = 65_536  # rows
NO_ITEM = -1


def vectors_of(store: Path) -> NDArray[np.float16]:
    """Memory-map the vector file of a store with one encoder: (rows, D)."""
    [record] = FeatureStore.open(store).sql("SELECT file, rows, dim FROM encoders").to_pylist()
    shape = (record["rows"], record["dim"])
    return np.memmap(store / "vectors" / record["file"], "<f2", mode="r", shape=shape)


def items_of(store: Path, where: str = "true") -> pa.Table:
    """Read the columns row, id, path and label of the items that match an SQL expression, ascending by row."""
    return FeatureStore.open(store).sql(
        f"""SELECT v.row, i.id, i.path, i.label FROM vectors v JOIN (SELECT * FROM items WHERE {where}) i
            ON i.id = v.item AND i.sha256 = v.sha256 ORDER BY v.row""",
        seconds=600,
    )


def blocks_of(store: Path, rows: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """Read the vectors of some rows as float32 in blocks, each with the position of its first row in `rows`."""
    vectors = vectors_of(store)
    for start in range(0, len(rows), BLOCK):
        yield start, np.asarray(vectors[rows[start : start + BLOCK]], np.float32)


def find_truth(store: Path, queries: NDArray[np.float32], where: str = "true") -> NDArray[np.int64]:
    """Find the ids (Q, K) of the items nearest to each query, best first; NO_ITEM where fewer than K match."""
    rows, ids = (items_of(store, where)[name].to_numpy() for name in ("row", "id"))
    best = faiss.ResultHeap(len(queries), K, keep_max=True)
    for start, block in blocks_of(store, rows):
        scores, positions = faiss.knn(queries, block, min(K, len(block)), metric=faiss.METRIC_INNER_PRODUCT)
        best.add_result(scores, positions + start)
    best.finalize()
    return np.where(best.I >= 0, ids[best.I], NO_ITEM) if len(ids) else np.full((len(queries), K), NO_ITEM)


def save_truth(store: str, queries: str, count: int, where: str, out: str) -> None:
    """Write the true answers to the first `count` queries: the file that `latency.ask` compares with."""
    np.save(out, find_truth(Path(store), np.load(queries)[:count], where))
