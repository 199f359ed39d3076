"""Which images to label: every strategy of `suggest` against random choice, on labelled stores.

    python -m benchmarks.selection STORE... [--seeds 10] [--by auto --by typical]

Plays `suggest --simulate`: labels are chosen from split train, a tenth of them at random, and ridge regression on the frozen vectors predicts
split test. Prints Markdown for each store: accuracy of random choice, the difference of each strategy to it on the same seeds in points with
half of its 95 % interval, the saving (labels that random choice needs for the same accuracy, as a multiple), and how many classes are known.
"""

from collections.abc import Sequence
from pathlib import Path

import click

from benchmarks.machine import processor, versions
from benchmarks.tables import table
from featurestore import FeatureStore, curation
from featurestore.curation import SimulationReport
from featurestore.curation.simulation import SEEDS
from featurestore.curation.strategies import STRATEGIES
from featurestore.system.cpus import available_cpus


@click.command()
@click.argument("stores", type=click.Path(path_type=Path, exists=True), nargs=-1, required=True)
@click.option("--seeds", default=SEEDS, show_default=True)
@click.option("--by", type=click.Choice(list(STRATEGIES)), multiple=True)
def selection(stores: Sequence[Path], seeds: int, by: Sequence[str]) -> None:
    """Play the loop on each store."""
    click.echo(f"{processor()}, {available_cpus()} processors; {versions('numpy', 'scikit-learn', 'faiss-cpu')}\n")
    worst: list[list[str]] = []
    for path in stores:
        store = FeatureStore.open(path)
        report = curation.simulate(store, by or None, seeds=seeds)
        encoder = store.encoder_record(None)
        click.echo(
            f"### {path.stem}\n\n{encoder.name}, {encoder.dim} dimensions; {report.n_pool:,} images to choose from, "
            f"{report.n_test:,} to predict, {report.n_classes} classes, {report.seeds} seeds\n"
        )
        show(report)
        worst.append([path.stem, *summary(report)])
    click.echo("### All\n")
    table(["collection", "least difference of auto to random, points", "saving at 10 to 50", "at 200"], worst)


def show(report: SimulationReport) -> None:
    """Print a row for each strategy."""
    rows = report.strategies["random"]
    heads = [f"{row.labels} labels" for row in rows]
    lines = [
        ["random, %", *(f"{row.top1_mean * 100:.1f} ± {row.top1_ci95 * 100:.1f}; {row.classes:.1f}" for row in rows)]
    ]
    for name, saving in report.saving.items():
        cells = [
            f"{row.minus_random * 100:+.1f} ± {row.minus_random_ci95 * 100:.1f}; x {saving[str(row.labels)]:.2f}; {row.classes:.1f}"
            for row in report.strategies[name]
        ]
        lines.append([name, *cells])
    table(["by", *heads], lines)


def summary(report: SimulationReport) -> list[str]:
    """Give the least difference of auto to random, its saving at 10 to 50 labels (least and most), and at 200."""
    least = min(report.strategies["auto"], key=lambda row: row.minus_random)
    few = [saving for labels, saving in report.saving["auto"].items() if int(labels) <= 50]
    many = report.saving["auto"].get("200")
    return [
        f"{least.minus_random * 100:+.1f} at {least.labels}",
        f"{min(few):.2f} to {max(few):.2f}",
        "" if many is None else f"{many:.2f}",
    ]


if __name__ == "__main__":
    selection()
