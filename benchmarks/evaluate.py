"""Evaluation side by side: a store's k-NN figures against FAISS called directly and scikit-learn, and the seconds of every other measure.

    python -m benchmarks.evaluate knn
    python -m benchmarks.evaluate others

Vectors of `benchmarks.clusters`, labelled by their groups. Every figure is taken in a process of its own; what is compared takes turns, so that a busy
machine slows all alike. Prints Markdown: median (least-most) of the runs; of k-NN also how many votes differ from ours.
"""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from statistics import median

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import evaluations, stores
from benchmarks.tables import cell, show, table
from benchmarks.turns import Peak, Side, measure, take_turns
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
    """A store of so many vectors, the last of which are the test split."""
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
    """k-NN figures against `faiss.knn` and the vote, and against scikit-learn, which searches for each k anew."""
    sides = {"store.knn": evaluations.ours, "faiss.knn and the vote": evaluations.faiss_and_vote}
    if slow:
        sides["KNeighborsClassifier, cosine"] = evaluations.sklearn_cosine
        sides["KNeighborsClassifier, euclidean"] = evaluations.sklearn_euclidean
    with labelled_store(train, test, dim) as store:
        votes = {name: store.parent / f"{name}.npy" for name in sides}
        found = take_turns(runs, {name: (what, store, ks, votes[name]) for name, what in sides.items()})
        own = np.load(votes["store.knn"])
        differ = {name: f"{(np.load(votes[name]) != own).sum():,} of {own.size:,}" for name in sides}
    click.echo(f"\n{train:,} x {test:,} x {dim}, k = {', '.join(map(str, ks))}, {available_cpus()} processors\n")
    rows = [
        [name, cell(seconds, 2), f"{median(seconds) / median(found['store.knn']):.2f}", differ[name]]
        for name, seconds in found.items()
    ]
    table(["what", "s", "against store.knn", "votes that differ"], rows)


@cli.command()
@train_option
@test_option
@dim_option
@runs_option
def others(train: int, test: int, dim: int, runs: int) -> None:
    """Seconds of linear, few labels, episodes and retrieval, and the memory of the ranking of all by all. Needs Linux."""
    with labelled_store(train, test, dim) as store:
        sides: dict[str, Side] = {name: (evaluations.measured, store, name) for name in evaluations.MEASURES}
        found = take_turns(runs, sides)
        peak = Peak()
        measure(evaluations.all_by_all, store, peak=peak)
    click.echo(f"\n{train:,} x {test:,} x {dim}, {available_cpus()} processors\n")
    show(found, "s", [])
    click.echo(f"retrieval, {train + test:,} by {train + test:,}: peak {peak.own:,.0f} MB")


if __name__ == "__main__":
    cli()
