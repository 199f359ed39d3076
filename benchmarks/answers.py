"""What the right answers are, found by FAISS over float32 blocks and by nothing of ours, and how quick and how near answers come."""

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

import faiss
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurestore import FeatureStore

K = 10
WARM_UP = 50  # searches that are not counted
BLOCK = 65_536  # rows
NO_ITEM = -1

Search = Callable[[NDArray[np.float32]], Sequence[int] | NDArray[np.int64]]  # a query (D,) to the ids of its hits
Answers = dict[
    str, float
]  # p50, p99 and first (search, with all it opens) in ms; recall; short: answers with fewer hits than there are


def vectors_of(store: Path) -> NDArray[np.float16]:
    """The vector file of a store with one encoder, mapped: (rows, D)."""
    [record] = FeatureStore.open(store).sql("SELECT file, rows, dim FROM encoders").to_pylist()
    shape = (record["rows"], record["dim"])
    return np.memmap(store / "vectors" / record["file"], "<f2", mode="r", shape=shape)


def items_of(store: Path, where: str = "true") -> pa.Table:
    """Columns row, id, path and label of the items for which an expression holds, ascending by row."""
    return FeatureStore.open(store).sql(
        f"""SELECT v.row, i.id, i.path, i.label FROM vectors v JOIN (SELECT * FROM items WHERE {where}) i
            ON i.id = v.item AND i.sha256 = v.sha256 ORDER BY v.row""",
        seconds=600,
    )


def blocks_of(store: Path, rows: NDArray[np.int64]) -> Iterator[tuple[int, NDArray[np.float32]]]:
    """The vectors of some rows as float32, with the place of the first of each block among the rows."""
    vectors = vectors_of(store)
    for start in range(0, len(rows), BLOCK):
        yield start, np.asarray(vectors[rows[start : start + BLOCK]], np.float32)


def find_truth(store: Path, queries: NDArray[np.float32], where: str = "true") -> NDArray[np.int64]:
    """Ids (Q, K) of the items nearest to each query, best first; NO_ITEM where there are no more."""
    rows, ids = (items_of(store, where)[name].to_numpy() for name in ("row", "id"))
    best = faiss.ResultHeap(len(queries), K, keep_max=True)
    for start, block in blocks_of(store, rows):
        scores, places = faiss.knn(queries, block, min(K, len(block)), metric=faiss.METRIC_INNER_PRODUCT)
        best.add_result(scores, places + start)
    best.finalize()
    return np.where(best.I >= 0, ids[best.I], NO_ITEM) if len(ids) else np.full((len(queries), K), NO_ITEM)


def save_truth(store: str, queries: str, count: int, where: str, out: str) -> None:
    """Write what `ask` compares with."""
    np.save(out, find_truth(Path(store), np.load(queries)[:count], where))


def ask(search: Search, queries: NDArray[np.float32], truth: NDArray[np.int64], warm_up: int = WARM_UP) -> Answers:
    """Put as many queries as there are true answers to one side, one at a time; those behind them warm it up."""
    began = time.perf_counter()
    search(queries[-1])
    first = time.perf_counter() - began
    for query in queries[-1 - warm_up : -1]:
        search(query)
    seconds, answers = [], []
    for query in queries[: len(truth)]:
        began = time.perf_counter()
        answer = search(query)
        seconds.append(time.perf_counter() - began)
        answers.append(answer)
    p50, p99 = np.percentile(seconds, [50, 99])
    short = sum(len(found) < np.sum(true != NO_ITEM) for found, true in zip(answers, truth, strict=True))
    ms = {"p50": 1000 * p50, "p99": 1000 * p99, "first": 1000 * first}
    return {**ms, "recall": recall(answers, truth), "short": float(short)}


def recall(answers: Iterable[Sequence[int] | NDArray[np.int64]], truth: NDArray[np.int64]) -> float:
    """The share of the true hits that was found."""
    found = sum(len(np.intersect1d(answer, true[true != NO_ITEM])) for answer, true in zip(answers, truth, strict=True))
    return found / max(1, int((truth != NO_ITEM).sum()))
