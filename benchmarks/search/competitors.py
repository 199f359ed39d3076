"""Other ways to search the same items, each used as its documentation shows: LanceDB, DuckDB, and FAISS's HNSW with paths from DuckDB.

Each is built once in a folder. All return id, path and label. LanceDB is imported only when it is measured, because it may be missing.
"""

import time
from collections.abc import Callable, Iterator
from importlib import import_module
from itertools import chain, product
from pathlib import Path
from typing import Any

import duckdb
import faiss
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from benchmarks.search.ground_truth import K, blocks_of, items_of
from benchmarks.search.latency import Latency, ask
from benchmarks.stores import queries_of

TRIED = 200  # queries for choosing the settings
HNSW_LINKS = 32
EF = (16, 32, 64, 128, 256, 512)
PROBES = [{"nprobes": n, "refine_factor": r} for n, r in product((4, 8, 16, 32, 64), (5, 10, 20, 40))]
LANCE: dict[str, list[dict[str, int]]] = {  # kinds of index, with the search settings to try
    "IVF_RQ": PROBES,
    "IVF_RQ-1024": PROBES,
    "IVF_PQ": PROBES,
    "IVF_HNSW_SQ": [{"nprobes": 1, "ef": e, "refine_factor": r} for e, r in product((100, 200, 400, 800), (1, 2))],
}


def _tables(store: Path) -> Iterator[pa.Table]:
    """Read id, path, label and vector (float32) of all items in blocks."""
    items = items_of(store)
    for start, block in blocks_of(store, items["row"].to_numpy()):
        vectors = pa.FixedSizeListArray.from_arrays(block.ravel(), block.shape[1])
        yield items.slice(start, len(block)).drop_columns("row").append_column("vector", vectors)


# -- LanceDB


def lance_build(store: str, folder: str, kind: str) -> float:
    """Build a table and an index of one kind; returns the seconds for the index alone."""
    index = import_module("lancedb.index")
    tables = _tables(Path(store))
    first = next(tables)
    dim = first.schema.field("vector").type.list_size
    configs: dict[str, Callable[[], Any]] = {
        "IVF_RQ": lambda: index.IvfRq(distance_type="cosine"),
        "IVF_RQ-1024": lambda: index.IvfRq(distance_type="cosine", num_partitions=1024),
        "IVF_PQ": lambda: index.IvfPq(distance_type="cosine", num_sub_vectors=dim // 4),
        "IVF_HNSW_SQ": lambda: index.HnswSq(
            distance_type="cosine", num_partitions=1
        ),  # as its documentation recommends
    }
    batches = (batch for table in chain([first], tables) for batch in table.to_batches())
    table = _lance(folder).create_table(kind, batches, first.schema, mode="overwrite")
    began = time.perf_counter()
    table.create_index("vector", config=configs[kind]())
    return time.perf_counter() - began


def lance_try(store: str, folder: str, kind: str, truth: str) -> list[tuple[dict[str, int], Latency]]:
    """Measure each of the settings of a kind."""
    return [(settings, lance(store, folder, kind, settings, truth, TRIED)) for settings in LANCE[kind]]


def lance(
    store: str, folder: str, kind: str, settings: dict[str, int], truth: str, count: int | None = None
) -> Latency:
    """Search LanceDB's table, with its index in memory."""
    table = _lance(folder).open_table(kind)
    [index] = table.list_indices()
    table.prewarm_index(index.name)

    def search(query: NDArray[np.float32]) -> NDArray[np.int64]:
        request = table.search(query, vector_column_name="vector").distance_type("cosine").limit(K)
        for name, value in settings.items():
            request = getattr(request, name)(value)
        # without the column _distance it logs a warning at every search, which costs time
        return np.asarray(request.select(["id", "path", "label", "_distance"]).to_arrow()["id"].to_numpy())

    return ask(search, np.load(queries_of(Path(store))), np.load(truth)[:count])


def _lance(folder: str) -> Any:
    return import_module("lancedb").connect(Path(folder) / "lance")


# -- DuckDB


def duckdb_build(store: str, folder: str) -> float:
    """Load a table with a primary key; returns the seconds."""
    path = Path(folder) / "items.duckdb"
    path.unlink(missing_ok=True)
    began = time.perf_counter()
    with duckdb.connect(str(path)) as connection:
        for number, block in enumerate(_tables(Path(store))):
            if not number:
                vector = f"FLOAT[{block.schema.field('vector').type.list_size}]"
                connection.execute(
                    f"CREATE TABLE items (id BIGINT PRIMARY KEY, path TEXT, label TEXT, vector {vector})"
                )
            connection.register("block", block)
            connection.execute("INSERT INTO items SELECT * FROM block")
    return time.perf_counter() - began


def duckdb_cosine(store: str, folder: str, truth: str) -> Latency:
    """Sort all items by `array_cosine_distance`, on an open connection."""
    connection = _duckdb(folder)
    queries = np.load(queries_of(Path(store)))
    text = f"""SELECT id, path, label, array_cosine_distance(vector, $1::FLOAT[{queries.shape[1]}]) AS distance
               FROM items ORDER BY distance LIMIT {K}"""

    def search(query: NDArray[np.float32]) -> list[int]:
        return [row[0] for row in connection.execute(text, [query.tolist()]).fetchall()]

    return ask(search, queries, np.load(truth), warm_up=2)


def _duckdb(folder: str) -> duckdb.DuckDBPyConnection:
    return duckdb.connect(str(Path(folder) / "items.duckdb"), read_only=True)


# -- FAISS's HNSW, with paths and labels from DuckDB


def hnsw_build(store: str, folder: str) -> float:
    """Build the graph; returns the seconds."""
    began = time.perf_counter()
    index = None
    for _, block in blocks_of(Path(store), items_of(Path(store))["row"].to_numpy()):
        index = index or faiss.IndexHNSWFlat(block.shape[1], HNSW_LINKS, faiss.METRIC_INNER_PRODUCT)
        index.add(block)
    seconds = time.perf_counter() - began
    faiss.write_index(index, str(Path(folder) / "hnsw.faiss"))
    return seconds


def hnsw_try(store: str, folder: str, truth: str) -> list[tuple[dict[str, int], Latency]]:
    """Measure each value of EF."""
    return [({"ef": ef}, hnsw(store, folder, ef, truth, TRIED)) for ef in EF]


def hnsw(store: str, folder: str, ef: int, truth: str, count: int | None = None) -> Latency:
    """Search the graph, then look up paths and labels by primary key on an open connection."""
    index = faiss.read_index(str(Path(folder) / "hnsw.faiss"))
    index.hnsw.efSearch = ef
    connection = _duckdb(folder)
    ids = items_of(Path(store))["id"].to_numpy()
    text = "SELECT id, path, label FROM items WHERE id IN (SELECT unnest($1::BIGINT[]))"

    def search(query: NDArray[np.float32]) -> NDArray[np.int64]:
        found = ids[index.search(query[None], K)[1][0]]
        connection.execute(text, [found.tolist()]).fetchall()
        return np.asarray(found)

    return ask(search, np.load(queries_of(Path(store))), np.load(truth)[:count])
