"""Latency and recall of a search function over many queries, one at a time, and their columns in a table."""

import time
from collections.abc import Callable, Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.search.ground_truth import NO_ITEM, K
from benchmarks.tables import column, ratio, spread, table

WARM_UP = 50  # searches that are not counted
COLUMNS = ["p50 ms", "p99 ms", f"recall@{K}"]

Search = Callable[[NDArray[np.float32]], Sequence[int] | NDArray[np.int64]]  # a query (D,) to the ids of its hits
# p50, p99 and first (the first search, with everything it has to load) in ms; recall; short: answers with fewer hits than exist
Latency = dict[str, float]


def ask(search: Search, queries: NDArray[np.float32], truth: NDArray[np.int64], warm_up: int = WARM_UP) -> Latency:
    """Time as many queries as there are true answers. The last queries serve to warm up."""
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


def cells(runs: Sequence[Latency]) -> list[str]:
    """The cells of COLUMNS for one side."""
    return [spread(column(runs, key), digits) for key, digits in (("p50", 2), ("p99", 2), ("recall", 4))]


def show_latency(sides: dict[str, list[Latency]], against: str) -> None:
    """Print latency and recall of every side, and its median time as a multiple of that of one side."""
    base = column(sides[against], "p50")
    rows = [[name, *cells(runs), ratio(column(runs, "p50"), base)] for name, runs in sides.items()]
    table(["what", *COLUMNS, f"p50 against {against}"], rows)
