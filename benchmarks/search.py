"""Search side by side: stores of 10,000 to 10,000,000 vectors against LanceDB, DuckDB and FAISS called directly.

    python -m benchmarks.search generate 1m.store --rows 1000000 --dim 384
    python -m benchmarks.search warm 1m.store --work rivals
    python -m benchmarks.search cold 1m.store
    python -m benchmarks.search filters 1m.store
    python -m benchmarks.search throughput 1m.store
    python -m benchmarks.search growth 10m.store
    python -m benchmarks.search small
    python -m benchmarks.search graph

A store that is asked has queries beside it, which `generate` writes: vectors of the same kind that are none of its rows. True answers come from
`faiss.knn` over float32. Every figure is taken in a process of its own; what is compared takes turns, so that a busy machine slows all alike. Prints
Markdown: median (least-most) of the runs. LanceDB is compared with where it is installed.
"""

import importlib.util
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks import rivals, searches, stores
from benchmarks.answers import Answers, K, save_truth, vectors_of
from benchmarks.tables import FIGURES, cell, figures, ratio, show, show_answers, show_measured, table
from benchmarks.turns import Peak, Side, measure, take_turns
from featurestore.system.cpus import available_cpus

PATH = click.Path(path_type=Path)
EXISTING = click.Path(path_type=Path, exists=True, file_okay=False)
SLOW = 20  # queries put to DuckDB
TARGET = 0.99  # recall at which sides are compared
FILTERS = {
    "50 %": f"bytes < {stores.DRAWN // 2}",
    "10 %": f"bytes < {stores.DRAWN // 10}",
    "1 %": f"bytes < {stores.DRAWN // 100}",
    "0.01 %": f"bytes < {stores.DRAWN // 10_000}",
    "one label, far from most queries": "label = 'group-007'",
}
OUR_OWN = "featurestore"

queries_option = click.option("--queries", default=2000, show_default=True, help=f"Up to {stores.QUERIES}.")
runs_option = click.option("--runs", default=3, show_default=True)


@click.group()
def cli() -> None:
    pass


@contextmanager
def truth(store: Path, count: int, where: str = "true") -> Iterator[Path]:
    """A file of the true answers to the first `count` queries of a store; the last ones are for warming up."""
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
@click.option("--rows", default=1_000_000, show_default=True, help="A store with fewer grows to so many.")
@click.option("--dim", default=384, show_default=True)
@click.option("--like", type=EXISTING, help="A store whose vectors are taken instead; some become the queries.")
def generate(out: Path, rows: int, dim: int, like: Path | None) -> None:
    """Write a store of vectors without images, and queries beside it."""
    if like is None:
        stores.grow(out, rows, dim)
    else:
        stores.hold_out(like, out)


# -- one query at a time


@cli.command()
@click.argument("store", type=EXISTING)
@click.option("--work", type=PATH, required=True, help="Folder where others keep their indexes of this store.")
@click.option(
    "--lance", "kinds", multiple=True, type=click.Choice(list(rivals.LANCE)), default=list(rivals.LANCE), show_default=True
)  # fmt: skip
@queries_option
@runs_option
def warm(store: Path, work: Path, kinds: tuple[str, ...], queries: int, runs: int) -> None:
    """Searches by vector in an open store, hits with path and label, against LanceDB, DuckDB and FAISS's HNSW."""
    work.mkdir(parents=True, exist_ok=True)
    with truth(store, queries) as true, truth(store, rivals.TRIED) as fewer, truth(store, SLOW) as few:
        sides: dict[str, Side] = {
            OUR_OWN: (searches.ours, store, true),
            f"{OUR_OWN}, exact=True": (searches.ours, store, fewer, None, True),
        }
        if importlib.util.find_spec("lancedb") is None:
            click.echo("LanceDB is left out: it is not installed (pip install lancedb, or put it on PYTHONPATH)\n")
            kinds = ()
        for kind in kinds:
            name = f"LanceDB {kind}"
            seconds = built(store, work, name, (rivals.lance_build, store, work, kind))
            settings = best(name, seconds, measure(rivals.lance_try, store, work, kind, fewer))
            sides[f"{name}, {words(settings)}"] = (rivals.lance, store, work, kind, settings, true)
        seconds = built(store, work, "DuckDB", (rivals.duckdb_build, store, work))
        click.echo(f"DuckDB, loaded in {seconds:.0f} s\n")
        name = f"FAISS HNSW{rivals.HNSW_LINKS}, paths from DuckDB"
        seconds = built(store, work, name, (rivals.hnsw_build, store, work))
        ef = best(name, seconds, measure(rivals.hnsw_try, store, work, fewer))
        sides[f"{name}, {words(ef)}"] = (rivals.hnsw, store, work, ef["ef"], true)
        sides["DuckDB, array_cosine_distance"] = (rivals.duckdb_cosine, store, work, few)
        found = take_turns(runs, sides)
    fewer_of = f"exact=True {rivals.TRIED}, DuckDB {SLOW}"
    describe(store, f"{queries:,} queries one at a time ({fewer_of}), {runs} runs")
    show_answers(found, OUR_OWN)


def built(store: Path, work: Path, name: str, build: Side) -> float:
    """Build what is compared with, when it is not there for as many rows; returns the seconds that took."""
    done = work / f"{name}, {len(vectors_of(store))} rows.json"
    if not done.exists():
        done.write_text(json.dumps(measure(*build)))
    return float(json.loads(done.read_text()))


def best(name: str, seconds: float, tried: Sequence[tuple[dict[str, int], Answers]]) -> dict[str, int]:
    """Print what was tried; returns the fastest settings that reach the TARGET, else those with the most recall."""
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
    """Whole processes: a search from the command line, imports alone, and Python alone. Files are in the page cache."""
    command = str(Path(sys.executable).with_name("featurestore"))
    sides = {
        "featurestore search STORE --id 5": [command, "search", str(store), "--id", "5"],
        "from featurestore import FeatureStore": [sys.executable, "-c", "from featurestore import FeatureStore"],
        "python -c pass": [sys.executable, "-c", "pass"],
    }
    found: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(runs):
        for name, line in sides.items():
            began = time.perf_counter()
            subprocess.run(line, check=True, stdout=subprocess.DEVNULL)
            found[name].append(time.perf_counter() - began)
    describe(store, f"{runs} runs")
    show(found, "s", [], digits=2)


@cli.command()
@click.argument("store", type=EXISTING)
@click.option("--queries", default=500, show_default=True)
@runs_option
def filters(store: Path, queries: int, runs: int) -> None:
    """Searches among a part of the items; the first use of a filter apart from the later ones."""
    found: dict[str, list[Answers]] = {}
    for name, where in FILTERS.items():
        with truth(store, queries) as true, truth(store, queries, where) as filtered:
            sides: dict[str, Side] = {
                "no filter": (searches.ours, store, true),
                name: (searches.ours, store, filtered, where),
            }
            for side, answers in take_turns(runs, sides).items():
                found.setdefault(side, []).extend(answers)
    describe(store, f"{queries:,} queries one at a time")
    rows = []
    for name, answers in found.items():
        first = cell([one["first"] for one in answers], 1) if name in FILTERS else ""
        short = f"{max(one['short'] for one in answers):.0f}"
        rows.append([name, FILTERS.get(name, ""), first, *figures(answers), short, ratio(answers, found["no filter"])])
    table(["items", "filter", "first use ms", *FIGURES, "answers too short", "p50 against no filter"], rows)


# -- many queries


@cli.command()
@click.argument("store", type=EXISTING)
@queries_option
@click.option("--runs", default=5, show_default=True)
def throughput(store: Path, queries: int, runs: int) -> None:
    """Queries a second of several threads and of one large call, against FAISS on the same index file with the same re-rank."""
    with truth(store, queries) as true:
        pairs: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
            f"{searches.THREADS} threads": (searches.ours_in_threads, searches.raw_in_threads),
            f"{searches.MANY:,} in one call": (searches.ours_in_one_call, searches.raw_in_one_call),
        }
        describe(store, f"{queries:,} queries")
        for name, (ours, raw) in pairs.items():
            found = take_turns(runs, {OUR_OWN: (ours, store, true), "FAISS and numpy": (raw, store, true)})
            show_measured(found, "rate", f"queries/s, {name}", 0)


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
        sides: dict[str, Side] = {
            "store.neighbours": (searches.our_graph, store, k),
            "faiss.knn": (searches.faiss_graph, store, k),
        }
        found = take_turns(runs, sides)
    click.echo(f"\n{rows:,} x {dim}, k = {k}, {available_cpus()} processors\n")
    show_measured(found, "seconds", "s", 1)


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
                sides: dict[str, Side] = {
                    OUR_OWN: (searches.ours, store, true),
                    "faiss.knn": (searches.faiss_flat, store, true),
                }
                found = take_turns(runs, sides)
            describe(store, f"{queries:,} queries one at a time")
            show_answers(found, "faiss.knn")


@cli.command()
@click.argument("store", type=PATH)
@click.option(
    "--rows", "sizes", multiple=True, default=(1_000_000, 2_000_000, 5_000_000, 10_000_000), show_default=True
)
@click.option("--dim", default=384, show_default=True)
@click.option("--queries", default=1000, show_default=True)
@runs_option
def growth(store: Path, sizes: tuple[int, ...], dim: int, queries: int, runs: int) -> None:
    """One store, which grows: an index built from nothing at each size, its memory, and searches. Needs Linux."""
    rows = []
    if store.exists() and len(vectors_of(store)) > min(sizes):
        raise click.ClickException(f"{store} holds more than {min(sizes):,} rows already; name a store that can grow")
    for size in sorted(sizes):
        stores.grow(store, size, dim)
        peak = Peak()
        index = measure(searches.build, store, peak=peak)
        with truth(store, queries) as true:
            answers = take_turns(runs, {f"{size:,}": (searches.ours, store, true)})[f"{size:,}"]
        memory = [f"{peak.own:,.0f}", f"{peak.resident:,.0f}"]
        rows.append([f"{size:,}", f"{index['seconds']:.0f}", *memory, f"{index['share']:.3f}", *figures(answers)])
    describe(store, f"{queries:,} queries one at a time")
    table(["rows", "build s", "peak MB", "peak MB with mapped pages", "index / vectors", *FIGURES], rows)


if __name__ == "__main__":
    cli()
