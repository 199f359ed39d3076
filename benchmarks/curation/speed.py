"""How long the reports take, on stores of generated vectors: seconds by the clock and of the processors, and memory, each in its own process."""

import resource
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import click

from benchmarks import stores
from benchmarks.interleaved import PeakMemory, measure
from benchmarks.tables import table
from featurestore import FeatureStore, curation
from featurestore.maintenance import optimize
from featurestore.progress import Listener
from featurestore.storage.item_graph import BY_INDEX_FROM, item_graph

REPORTS = ("neighbours", "outliers", "label errors", "clusters", "coverage", "suggest", "suggest again")
WITH_PICTURES = ("neighbours", "outliers", "label errors", "clusters", "duplicates", "duplicates again")


def timed(store: str, name: str) -> list[float]:
    """Make a report: seconds by the clock, and of the processors."""
    opened = FeatureStore.open(store)
    calls: dict[str, Callable[[], object]] = {
        "neighbours": lambda: item_graph(opened),
        "outliers": lambda: curation.outliers(opened, limit=20),
        "label errors": lambda: curation.label_errors(opened, limit=20),
        "clusters": lambda: curation.clusters(opened),
        "coverage": lambda: curation.coverage(opened),
        "suggest": lambda: curation.suggest(opened),
        "suggest again": lambda: curation.suggest(opened),
        "duplicates": lambda: curation.duplicates(opened),
        "duplicates again": lambda: curation.duplicates(opened),
    }
    call = calls[name]
    if name == "suggest again":
        call()
    wall, work = time.perf_counter(), _work()
    call()
    return [time.perf_counter() - wall, _work() - work]


def _work() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def half_labelled(store: Path) -> None:
    """Take the labels of half of the items away, so that there is something to suggest."""
    opened = FeatureStore.open(store)
    table_file = store.with_suffix(".csv")
    ids = opened.sql("SELECT id FROM items WHERE id % 2 = 0")["id"].to_pylist()
    table_file.write_text("id,label\n" + "".join(f"{item},\n" for item in ids))
    opened.label(table_file, clear=True)


def rows_of(store: Path, reports: Sequence[str]) -> list[list[str]]:
    """Make some reports of a store, in this order."""
    found = []
    for name in reports:
        if name == "coverage":
            half_labelled(store)
        peak = PeakMemory()
        wall, processor = measure(timed, store, name, peak=peak)
        found.append([name, f"{wall:.1f}", f"{processor:.1f}", f"{peak.own / 1000:.1f}"])
        click.echo(f"{found[-1]}", err=True)
    return found


@click.command()
@click.option("--rows", default=60_000, show_default=True)
@click.option("--dim", default=512, show_default=True)
@click.option("--store", type=click.Path(path_type=Path, exists=True), help="A store with labels and pictures instead.")
def speed(rows: int, dim: int, store: Path | None) -> None:
    """Seconds of each report, neighbours first: they are kept for the others. Generated vectors have no pictures, so nothing is decoded."""
    if store is not None:
        found = rows_of(store, WITH_PICTURES)
        click.echo(f"`{store.name}`, {FeatureStore.open(store).info()['items']:,} images\n")
    else:
        with tempfile.TemporaryDirectory() as work:
            store = Path(work) / "generated.store"
            stores.grow(store, rows, dim)
            if rows >= BY_INDEX_FROM:
                optimize(FeatureStore.open(store), listener=Listener())
            found = rows_of(store, REPORTS)
        click.echo(f"{rows:,} x {dim}\n")
    table(["report", "s", "processor s", "GB"], found)
