"""The time of evaluation: k-NN on a store against FAISS called directly and scikit-learn, and the seconds of every other measure.

    python -m benchmarks.evaluation knn
    python -m benchmarks.evaluation others

Vectors of `benchmarks.clusters`, labelled by their groups. Every measurement runs in its own process; the sides alternate, so that a busy
machine slows all alike. Prints Markdown: median (least-most) of the runs; for k-NN also how many predictions differ from ours.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import stores
from benchmarks.evaluation import measurements
from benchmarks.interleaved import Call, PeakMemory, measure, run_interleaved
from benchmarks.tables import ratio, show, spread, table
from featurestore import FeatureStore
from featurestore.system.cpus import available_cpus

train_option = click.option("--train", default=50_000, show_default=True)
test_option = click.option("--test", default=10_000, show_default=True)
dim_option = click.option("--dim", default=512, show_default=True)
runs_option = click.option("--runs", default=3, show_default=True)


@click.group()
def cli() -> None:
    pass


@contextmanager
def labelled_store(train: int, test: int, dim: int) -> Iterator[Path]:
    """Write a store of vectors; the last ones are the test split."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "labelled.store"
        stores.grow(path, train + test, dim)
        ids = np.arange(1, train + test + 1)
        store = FeatureStore.open(path)
        items = store.sql("SELECT id, label FROM items ORDER BY id")
        splits = pa.array(np.where(ids > train, "test", "train"))
        pq.write_table(items.append_column("split", splits), Path(folder) / "splits.parquet")
        store.label(Path(folder) / "splits.parquet")
        yield path


@cli.command()
@train_option
@test_option
@dim_option
@click.option("--k", "ks", multiple=True, default=(10, 20, 100, 200), show_default=True)
@click.option("--slow/--no-slow", default=True, help="Also scikit-learn, which takes minutes.")
@runs_option
def knn(train: int, test: int, dim: int, ks: tuple[int, ...], slow: bool, runs: int) -> None:
    """k-NN on a store against `faiss.knn` with the same vote, and against scikit-learn, which searches again for each k."""
    sides = {"store.knn": measurements.ours, "faiss.knn and the vote": measurements.faiss_and_vote}
    if slow:
        sides["KNeighborsClassifier, cosine"] = measurements.sklearn_cosine
        sides["KNeighborsClassifier, euclidean"] = measurements.sklearn_euclidean
    with labelled_store(train, test, dim) as store:
        predictions = {name: store.parent / f"{name}.npy" for name in sides}
        found = run_interleaved(runs, {name: (what, store, ks, predictions[name]) for name, what in sides.items()})
        own = np.load(predictions["store.knn"])
        differ = {name: f"{(np.load(predictions[name]) != own).sum():,} of {own.size:,}" for name in sides}
    click.echo(f"\n{train:,} x {test:,} x {dim}, k = {', '.join(map(str, ks))}, {available_cpus()} processors\n")
    rows = [
        [name, spread(seconds, 2), ratio(seconds, found["store.knn"]), differ[name]] for name, seconds in found.items()
    ]
    table(["what", "s", "against store.knn", "predictions that differ"], rows)


@cli.command()
@train_option
@test_option
@dim_option
@runs_option
def others(train: int, test: int, dim: int, runs: int) -> None:
    """Seconds of linear, low-shot, episodes and retrieval, and the memory of ranking all items for each item. Needs Linux."""
    with labelled_store(train, test, dim) as store:
        sides: dict[str, Call] = {name: (measurements.measured, store, name) for name in measurements.MEASURES}
        found = run_interleaved(runs, sides)
        peak = PeakMemory()
        measure(measurements.all_by_all, store, peak=peak)
    click.echo(f"\n{train:,} x {test:,} x {dim}, {available_cpus()} processors\n")
    show(found, "s", [])
    click.echo(f"retrieval, {train + test:,} by {train + test:,}: peak {peak.own:,.0f} MB")


if __name__ == "__main__":
    cli()
