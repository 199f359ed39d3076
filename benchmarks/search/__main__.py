"""Search side by side: stores of 10,000 to 10,000,000 vectors against LanceDB, DuckDB and FAISS called directly.

    python -m benchmarks.search generate 1m.store --rows 1000000 --dim 384
    python -m benchmarks.search warm 1m.store --work competitors
    python -m benchmarks.search cold 1m.store
    python -m benchmarks.search filters 1m.store
    python -m benchmarks.search throughput 1m.store
    python -m benchmarks.search growth 10m.store
    python -m benchmarks.search small
    python -m benchmarks.search graph
    python -m benchmarks.search reopened 1m.store

`generate` writes a store and a file of queries: vectors of the same distribution that are not rows of the store. True answers come from
`faiss.knn` over float32. Every measurement runs in its own process; the sides alternate, so that a busy machine slows all alike. Prints
Markdown: median (least-most) of the runs. LanceDB is compared where it is installed.
"""

import importlib.util
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks import stores
from benchmarks.interleaved import Call, PeakMemory, measure, run_interleaved
from benchmarks.search import competitors, measurements
from benchmarks.search.ground_truth import K, save_truth, vectors_of
from benchmarks.search.latency import COLUMNS, Latency, cells, show_latency
from benchmarks.tables import column, ratio, show, show_with_recall, spread, table
from featurestore.system.cpus import available_cpus

PATH = click.Path(path_type=Path)
EXISTING = click.Path(path_type=Path, exists=True, file_okay=False)
SLOW = 20  # queries for DuckDB
TARGET = 0.99  # recall at which the sides are compared
FILTERS = {
    "50 %": f"bytes < {stores.DRAWN // 2}",
    "10 %": f"bytes < {stores.DRAWN // 10}",
    "1 %": f"bytes < {stores.DRAWN // 100}",
    "0.01 %": f"bytes < {stores.DRAWN // 10_000}",
    "one label, far from most queries": "label = 'group-007'",
}
OURS = "featurestore"

queries_option = click.option("--queries", default=2000, show_default=True, help=f"Up to {stores.QUERIES}.")
runs_option = click.option("--runs", default=3, show_default=True)


@click.group()
def cli() -> None:
    pass


@contextmanager
def truth(store: Path, count: int, where: str = "true") -> Iterator[Path]:
    """Write the true answers to the first `count` queries of a store to a file. A quarter of the queries is left for warming up."""
    held = len(np.load(stores.queries_of(store), mmap_mode="r"))
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "truth.npy"
        measure(save_truth, store, stores.queries_of(store), min(count, held * 3 // 4), where, out)
        yield out


def describe(store: Path, what: str) -> None:
    rows, dim = vectors_of(store).shape
    click.echo(f"\n{rows:,} x {dim}, {what}, k = {K}, {available_cpus()} processors\n")


# -- data


@cli.command()
@click.argument("out", type=PATH)
@click.option("--rows", default=1_000_000, show_default=True, help="A store with fewer rows grows to this many.")
@click.option("--dim", default=384, show_default=True)
@click.option("--like", type=EXISTING, help="Take the vectors of this store instead; some become the queries.")
def generate(out: Path, rows: int, dim: int, like: Path | None) -> None:
    """Write a store of vectors without images, and queries for it."""
    if like is None:
        stores.grow(out, rows, dim)
    else:
        stores.hold_out(like, out)


# -- one query at a time


@cli.command()
@click.argument("store", type=EXISTING)
@click.option(
    "--work", type=PATH, required=True, help="Folder for the indexes of the competitors; they are built once."
)
@click.option(
    "--lance", "kinds", multiple=True, type=click.Choice(list(competitors.LANCE)), default=list(competitors.LANCE), show_default=True
)  # fmt: skip
@queries_option
@runs_option
def warm(store: Path, work: Path, kinds: tuple[str, ...], queries: int, runs: int) -> None:
    """Searches by vector in an open store, with path and label of the hits, against LanceDB, DuckDB and FAISS's HNSW."""
    work.mkdir(parents=True, exist_ok=True)
    with truth(store, queries) as true, truth(store, competitors.TRIED) as fewer, truth(store, SLOW) as few:
        sides: dict[str, Call] = {
            OURS: (measurements.ours, store, true),
            f"{OURS}, exact=True": (measurements.ours, store, fewer, None, True),
        }
        if importlib.util.find_spec("lancedb") is None:
            click.echo("LanceDB is not installed and is left out; pip install lancedb, or put it on PYTHONPATH\n")
            kinds = ()
        for kind in kinds:
            name = f"LanceDB {kind}"
            seconds = built(store, work, name, (competitors.lance_build, store, work, kind))
            settings = best(name, seconds, measure(competitors.lance_try, store, work, kind, fewer))
            sides[f"{name}, {words(settings)}"] = (competitors.lance, store, work, kind, settings, true)
        seconds = built(store, work, "DuckDB", (competitors.duckdb_build, store, work))
        click.echo(f"DuckDB, loaded in {seconds:.0f} s\n")
        name = f"FAISS HNSW{competitors.HNSW_LINKS}, paths from DuckDB"
        seconds = built(store, work, name, (competitors.hnsw_build, store, work))
        ef = best(name, seconds, measure(competitors.hnsw_try, store, work, fewer))
        sides[f"{name}, {words(ef)}"] = (competitors.hnsw, store, work, ef["ef"], true)
        sides["DuckDB, array_cosine_distance"] = (competitors.duckdb_cosine, store, work, few)
        found = run_interleaved(runs, sides)
    fewer_of = f"exact=True {competitors.TRIED}, DuckDB {SLOW}"
    describe(store, f"{queries:,} queries one at a time ({fewer_of}), {runs} runs")
    show_latency(found, OURS)


def built(store: Path, work: Path, name: str, build: Call) -> float:
    """Build a competitor's index, unless one for as many rows exists; returns the seconds the build took."""
    done = work / f"{name}, {len(vectors_of(store))} rows.json"
    if not done.exists():
        done.write_text(json.dumps(measure(*build)))
    return float(json.loads(done.read_text()))


def best(name: str, seconds: float, tried: Sequence[tuple[dict[str, int], Latency]]) -> dict[str, int]:
    """Print all settings tried; returns the fastest that reach TARGET, or those with the highest recall."""
    click.echo(f"{name}, built in {seconds:.0f} s\n")
    table(
        ["settings", "p50 ms", f"recall@{K}"],
        [[words(settings), f"{one['p50']:.2f}", f"{one['recall']:.4f}"] for settings, one in tried],
    )
    enough = [one for one in tried if one[1]["recall"] >= TARGET]
    if enough:
        return min(enough, key=lambda one: one[1]["p50"])[0]
    return max(tried, key=lambda one: one[1]["recall"])[0]


def words(settings: dict[str, int]) -> str:
    return ", ".join(f"{name} {value}" for name, value in settings.items())


@cli.command()
@click.argument("store", type=EXISTING)
@click.option("--runs", default=10, show_default=True)
def cold(store: Path, runs: int) -> None:
    """Whole processes: a search from the command line, the import alone, and Python alone. Files are in the page cache."""
    command = str(Path(sys.executable).with_name("featurestore"))
    lines = {
        "featurestore search STORE --id 5": [command, "search", str(store), "--id", "5"],
        "from featurestore import FeatureStore": [sys.executable, "-c", "from featurestore import FeatureStore"],
        "python -c pass": [sys.executable, "-c", "pass"],
    }
    found = run_interleaved(runs, {name: (measurements.command, line) for name, line in lines.items()})
    describe(store, f"{runs} runs")
    show(found, "s", [], digits=2)


@cli.command()
@click.argument("store", type=EXISTING)
@runs_option
def reopened(store: Path, runs: int) -> None:
    """Searches by vector in an open store, against a store opened anew for each search, which reads the catalog again."""
    sides: dict[str, Call] = {
        "opened for each search": (measurements.by_vector, store, True),
        "open": (measurements.by_vector, store, False),
    }
    show(run_interleaved(runs, sides), "ms", ["open"])


@cli.command()
@click.argument("store", type=EXISTING)
@click.option("--queries", default=500, show_default=True)
@runs_option
def filters(store: Path, queries: int, runs: int) -> None:
    """Filtered searches: the first use of a filter, and later ones, against searches without a filter."""
    found: dict[str, list[Latency]] = {}
    for name, where in FILTERS.items():
        with truth(store, queries) as true, truth(store, queries, where) as filtered:
            sides: dict[str, Call] = {
                "no filter": (measurements.ours, store, true),
                name: (measurements.ours, store, filtered, where),
            }
            for side, answers in run_interleaved(runs, sides).items():
                found.setdefault(side, []).extend(answers)
    describe(store, f"{queries:,} queries one at a time")
    rows = []
    for name, answers in found.items():
        first = spread(column(answers, "first"), 1) if name in FILTERS else ""
        short = f"{max(one['short'] for one in answers):.0f}"
        against = ratio(column(answers, "p50"), column(found["no filter"], "p50"))
        rows.append([name, FILTERS.get(name, ""), first, *cells(answers), short, against])
    table(["items", "filter", "first use ms", *COLUMNS, "answers too short", "p50 against no filter"], rows)


# -- many queries


@cli.command()
@click.argument("store", type=EXISTING)
@queries_option
@click.option("--runs", default=5, show_default=True)
def throughput(store: Path, queries: int, runs: int) -> None:
    """Queries a second with several threads and in one large call, against FAISS on the same index file with the same re-ranking."""
    with truth(store, queries) as true:
        pairs: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
            f"{measurements.THREADS} threads": (measurements.ours_in_threads, measurements.raw_in_threads),
            f"{measurements.MANY:,} in one call": (measurements.ours_in_one_call, measurements.raw_in_one_call),
        }
        describe(store, f"{queries:,} queries")
        for name, (ours, raw) in pairs.items():
            found = run_interleaved(runs, {OURS: (ours, store, true), "FAISS and numpy": (raw, store, true)})
            show_with_recall(found, "rate", f"queries/s, {name}", 0)


@cli.command()
@click.option("--rows", default=60_000, show_default=True)
@click.option("--dim", default=512, show_default=True)
@click.option("-k", default=20, show_default=True)
@runs_option
def graph(rows: int, dim: int, k: int, runs: int) -> None:
    """The neighbours of all items, against `faiss.knn` called directly."""
    with tempfile.TemporaryDirectory() as folder:
        store = Path(folder) / "graph.store"
        stores.grow(store, rows, dim)
        sides: dict[str, Call] = {
            "store.neighbours": (measurements.our_graph, store, k),
            "faiss.knn": (measurements.faiss_graph, store, k),
        }
        found = run_interleaved(runs, sides)
    click.echo(f"\n{rows:,} x {dim}, k = {k}, {available_cpus()} processors\n")
    show_with_recall(found, "seconds", "s", 1)


# -- sizes


@cli.command()
@click.option("--rows", "sizes", multiple=True, default=(10_000, 50_000), show_default=True)
@click.option("--dim", default=384, show_default=True)
@queries_option
@runs_option
def small(sizes: tuple[int, ...], dim: int, queries: int, runs: int) -> None:
    """Stores without an index, against `faiss.knn` called directly on float32 vectors in memory."""
    for rows in sizes:
        with tempfile.TemporaryDirectory() as folder:
            store = Path(folder) / "small.store"
            stores.grow(store, rows, dim)
            with truth(store, queries) as true:
                sides: dict[str, Call] = {
                    OURS: (measurements.ours, store, true),
                    "faiss.knn": (measurements.faiss_flat, store, true),
                }
                found = run_interleaved(runs, sides)
            describe(store, f"{queries:,} queries one at a time")
            show_latency(found, "faiss.knn")


@cli.command()
@click.argument("store", type=PATH)
@click.option(
    "--rows", "sizes", multiple=True, default=(1_000_000, 2_000_000, 5_000_000, 10_000_000), show_default=True
)
@click.option("--dim", default=384, show_default=True)
@click.option("--queries", default=1000, show_default=True)
@runs_option
def growth(store: Path, sizes: tuple[int, ...], dim: int, queries: int, runs: int) -> None:
    """A growing store: at each size, the time and memory of an index build from scratch, and latency. Needs Linux."""
    rows = []
    if store.exists() and len(vectors_of(store)) > min(sizes):
        raise click.ClickException(f"{store} already holds more than {min(sizes):,} rows; name a new or smaller store")
    for size in sorted(sizes):
        stores.grow(store, size, dim)
        peak = PeakMemory()
        index = measure(measurements.build, store, peak=peak)
        with truth(store, queries) as true:
            answers = run_interleaved(runs, {f"{size:,}": (measurements.ours, store, true)})[f"{size:,}"]
        memory = [f"{peak.own:,.0f}", f"{peak.resident:,.0f}"]
        rows.append([f"{size:,}", f"{index['seconds']:.0f}", *memory, f"{index['share']:.3f}", *cells(answers)])
    describe(store, f"{queries:,} queries one at a time")
    table(["rows", "build s", "peak MB", "peak MB with mapped pages", "index / vectors", *COLUMNS], rows)


if __name__ == "__main__":
    cli()
