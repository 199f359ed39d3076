"""Own encoders against what there was before, on every collection: the figures that the end of a training shows.

    python -m benchmarks.collections COLLECTIONS --cifar10 CIFAR10 --photos PHOTOS
    python -m benchmarks.evaluation.adaptation COLLECTIONS RUNS --minutes 5
    python -m benchmarks.evaluation.adaptation COLLECTIONS RUNS --minutes 5 --start lite0
    python -m benchmarks.evaluation.adaptation COLLECTIONS RUNS --minutes 1 --method byol --method dino --only signs

Each training is the command with its defaults and, unless --start is lite0, random weights. `--at-once 2` runs two trainings at a time, each
with its share of the processors, so that five minutes are those of half a machine. RUNS keeps the runs, each with a file of its result; the
same command again does what is missing. `benchmarks.evaluation.proof` reads these runs, too. `--draw FILE.png` draws k-NN against minutes.
Prints Markdown, one line a training: k-NN of raw pixels, start, and own encoder, each in the form with the higher mean of both
figures, and their difference in points.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import click
import numpy as np
from matplotlib.figure import Figure

from benchmarks.machine import processor, versions
from benchmarks.real_weights import NETWORK, weights_file
from benchmarks.tables import table
from featurestore.metrics.statistics import half_width
from featurestore.system.cpus import available_cpus
from trainers.training import metrics_file
from trainers.training.contender import OWN, RAW, START, UNTRAINED


class Training(NamedTuple):
    """One training of the benchmark."""

    collection: str
    method: str  # "" is the default
    start: str
    minutes: float
    seed: int
    assignments: tuple[str, ...]

    @property
    def name(self) -> str:
        """The name of its folder and, with .json, of its result."""
        parts = (self.collection, self.method, self.start, f"{self.minutes:g}", str(self.seed), *self.assignments)
        return "_".join(part for part in parts if part)

    def options(self) -> list[str]:
        """Give the options of `featurestore train`."""
        given = ["--init", "none"]
        if self.start == "lite0":
            given = ["--init", str(weights_file()), "--backbone", NETWORK.removeprefix("timm:")]
        method = ["--method", self.method] if self.method else []
        sets = [part for assignment in self.assignments for part in ("--set", assignment)]
        return [*given, *method, *sets, "--minutes", str(self.minutes), "--seed", str(self.seed)]


def run(training: Training, collections: Path, runs: Path, threads: int) -> None:
    """Train, unless its result is there."""
    result, out = runs / f"{training.name}.json", runs / training.name
    if result.exists():
        return
    shutil.rmtree(out, ignore_errors=True)  # of a training that was cut off
    command = [
        str(Path(sys.executable).with_name("featurestore")), "train", str(collections / training.collection),
        "--out", str(out), "--labels", "folders", "--json", *training.options(),
    ]  # fmt: skip
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    (runs / f"{training.name}.log").write_text(done.stderr)
    if done.returncode:
        click.echo(f"{training.name}: failed, see its .log", err=True)
        return
    partial = result.with_suffix(".part")
    partial.write_text(done.stdout)
    partial.rename(result)
    click.echo(f"{training.name}: {' '.join(line(training, json.loads(done.stdout)))}", err=True)


def figure(row: dict[str, Any]) -> float:
    """Give what the product ranks encoders by: the mean of k-NN and of few labels, where these were measured."""
    figures = [float(row[key]) for key in ("knn_top1", "few_labels_top1") if row[key] is not None]
    return sum(figures) / len(figures)


def best_rows(result: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Give the better form of raw pixels, of what there was before, and of the own encoder, in this order."""
    rows = {row["encoder"]: row for row in result["proof"]}
    before = next(name for name in (START, UNTRAINED) if name in rows)
    return {
        kind: max((row for name, row in rows.items() if name.startswith(kind)), key=figure)
        for kind in (RAW, before, OWN)
    }  # fmt: skip


def gains(result: dict[str, Any]) -> list[float]:
    """Give the points by which the own encoder is above the better of raw pixels and what there was: k-NN, and with few labels."""
    own, *before = (row for row in reversed(best_rows(result).values()))
    return [100 * ((own[key] or 0) - max(row[key] or 0 for row in before)) for key in ("knn_top1", "few_labels_top1")]


def seeds_together(results: Mapping[Training, Path]) -> list[list[str]]:
    """Show the mean over seeds of the own figures and gains, with half the 95 % interval (Student's t), as rows of a table."""
    of_each: dict[Training, list[list[float]]] = {}
    for training, file in results.items():
        result = json.loads(file.read_text())
        own = best_rows(result)[OWN]
        figures = [100 * own["knn_top1"], 100 * (own["few_labels_top1"] or 0), *gains(result)]
        of_each.setdefault(training._replace(seed=0), []).append(figures)
    return [
        [" ".join((training.collection, training.method or "default", *training.assignments)), str(len(each))]
        + [f"{np.mean(values):.1f} ± {half_width(values):.1f}" for values in zip(*each, strict=True)]
        for training, each in of_each.items()
        if len(each) > 1
    ]


def line(training: Training, result: dict[str, Any]) -> list[str]:
    """Show the result of a training as cells of a table."""
    best = best_rows(result)
    _, before, _ = best
    gain, few = gains(result)
    figures = [f"{best[kind]['knn_top1']:.3f}" for kind in (RAW, before, OWN)]
    labels = [f"{best[kind]['few_labels_top1'] or 0:.3f}" for kind in (RAW, before, OWN)]
    form = best[OWN]["encoder"].removeprefix(OWN).lstrip(", ")
    what = [training.collection, training.method or "default", *training.assignments]
    return [
        " ".join(what),
        str(training.seed),
        str(result["epoch"]),
        *figures,
        f"{gain:+.1f}",
        form,
        *labels,
        f"{few:+.1f}",
    ]


def draw(results: Mapping[Training, Path], file: Path) -> None:
    """Draw k-NN against minutes, a panel for each training, with lines for raw pixels and for what there was before."""
    columns = 4
    rows = -(-len(results) // columns)
    figure = Figure(figsize=(3 * columns, 2.2 * rows), layout="constrained")
    panels = figure.subplots(rows, columns, squeeze=False).flat
    for axes, (training, path) in zip(panels, results.items(), strict=False):
        metrics = metrics_file.read(path.with_name(training.name) / "metrics.jsonl")
        points = [(each["seconds"] / 60, each["knn_top1"]) for each in metrics if "knn_top1" in each]
        best = best_rows(json.loads(path.read_text()))
        axes.plot(*zip(*points, strict=True), color="#0a5fb4", linewidth=1.6, label=OWN)
        axes.plot(points[-1][0], best[OWN]["knn_top1"], "o", color="#0a5fb4", markersize=5, label="its better form")
        for (kind, row), style in zip(best.items(), (":", "--"), strict=False):
            axes.axhline(row["knn_top1"], color="#555555", linestyle=style, linewidth=1, label=kind)
        axes.set_title(training.collection, fontsize=9, loc="left")
        axes.tick_params(labelsize=7)
        axes.spines[["top", "right"]].set_visible(False)
    for axes in list(figure.axes)[len(results) :]:
        axes.set_axis_off()
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper right", ncols=4, fontsize=8, frameon=False)
    figure.supxlabel("minutes since the command", fontsize=8)
    figure.supylabel("k-NN", fontsize=8)
    figure.savefig(file, dpi=110)


HEADS = (
    "collection and method", "seed", "epochs", "raw pixels", "before", "own", "gain", "form",
    "5 labels: pixels", "before", "own", "gain",
)  # fmt: skip


def common_options(command: Callable[..., None]) -> Callable[..., None]:
    """Add what every benchmark of such trainings asks for."""
    for add in reversed((
        click.argument("collections", type=click.Path(exists=True, path_type=Path)),
        click.argument("runs", type=click.Path(path_type=Path)),
        click.option("--minutes", default=5.0, show_default=True),
        click.option("--start", type=click.Choice(["none", "lite0"]), default="none", show_default=True),
        click.option("--only", multiple=True, metavar="NAME", help="[default: all collections]"),
        click.option("--at-once", default=1, show_default=True, help="Trainings at a time."),
    )):  # fmt: skip
        command = add(command)
    return command


def names_in(collections: Path, only: Sequence[str]) -> Sequence[str]:
    """Give the collections asked for; without such, all in the folder."""
    return only or sorted(path.name for path in collections.iterdir() if (path / "train").is_dir())


def run_all(call: Callable[..., None], jobs: Sequence[tuple[Any, ...]], at_once: int) -> str:
    """Call with each job and its number of threads, `at_once` jobs at a time; returns words on threads and processor."""
    threads = max(1, available_cpus() // at_once)
    with ThreadPoolExecutor(at_once) as pool:
        list(pool.map(lambda job: call(*job, threads), jobs))
    return f"{threads} threads each; {processor()}"


@click.command(help=__doc__)
@common_options
@click.option("--method", "methods", multiple=True, default=("",), help="[default: that of the command]")
@click.option("--seed", "seeds", multiple=True, type=int, default=(0,), show_default=True)
@click.option("--set", "assignments", multiple=True, metavar="KEY=VALUE")
@click.option("--draw", "picture", type=click.Path(path_type=Path), metavar="FILE.png")
def main(
    collections: Path,
    runs: Path,
    minutes: float,
    start: str,
    methods: Sequence[str],
    seeds: Sequence[int],
    only: Sequence[str],
    assignments: tuple[str, ...],
    picture: Path | None,
    at_once: int,
) -> None:
    runs.mkdir(parents=True, exist_ok=True)
    names = names_in(collections, only)
    trainings = [Training(n, m, start, minutes, s, assignments) for n, m, s in product(names, methods, seeds)]
    how = run_all(run, [(training, collections, runs) for training in trainings], at_once)
    click.echo(f"{minutes:g} minutes, start {start}, {how}; {versions('torch')}\n")
    files = ((training, runs / f"{training.name}.json") for training in trainings)
    results = {training: file for training, file in files if file.exists()}
    table(HEADS, [line(training, json.loads(file.read_text())) for training, file in results.items()])
    if together := seeds_together(results):
        table(("collection and method", "seeds", "own k-NN, %", "5 labels, %", "gain", "gain, 5 labels"), together)
    if picture is not None:
        draw(results, picture)


if __name__ == "__main__":
    main()
