"""Own encoders against those of lightly and lightly-train: the same network, first weights, minutes and processors.

    python -m benchmarks.evaluation.adaptation COLLECTIONS RUNS --minutes 5 --at-once 2
    python -m benchmarks.evaluation.rivals COLLECTIONS RUNS --minutes 5 --at-once 2
    python -m benchmarks.evaluation.rivals COLLECTIONS RUNS --minutes 5 --at-once 2 --start lite0

Each rival trains SimCLR as its documentation says, on the network that our training in RUNS chose, at its image size. lightly-train's own
default learns from a teacher that it fetches from the web, which is not measured here. It is under the AGPL and therefore no part of
`featurestore[bench]`: install it by hand. k-NN (k = 20) and nearest class means with 5 labels a class are measured on the images by which our
training measured its own encoder. Of the rivals the better of plain and half-whitened vectors counts, although whitening is ours. RUNS keeps a
file for each; the same command again does what is missing. Prints Markdown.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import click
import numpy as np

from benchmarks.evaluation.adaptation import Training, best_rows, common_options, names_in, run_all
from benchmarks.evaluation.rival_trainings import FORMS, TRAIN
from benchmarks.machine import versions
from benchmarks.tables import table
from trainers.training.contender import OWN

FIGURES = ("knn_top1", "few_labels_top1")
HEADS = (
    "collection", "rival", "k-NN: plain", "whitened", "ours", "gain", "5 labels: plain", "whitened", "ours", "gain",
)  # fmt: skip


def result_of(training: Training, rival: str, runs: Path) -> Path:
    return runs / f"{training.name}.{rival}.json"


def run(training: Training, rival: str, collections: Path, runs: Path, threads: int) -> None:
    """Train a rival in a process of its own, unless its result is there."""
    result = result_of(training, rival, runs)
    if result.exists():
        return
    given = (rival, collections / training.collection, runs / training.name, training.minutes, result)
    command = [sys.executable, "-m", "benchmarks.evaluation.rival_trainings", *map(str, given)]
    environment = {**os.environ, "OMP_NUM_THREADS": str(threads), "LIGHTLY_TRAIN_EVENTS_DISABLED": "1"}
    with result.with_suffix(".log").open("w") as log:
        done = subprocess.run(command, stdout=log, stderr=log, env=environment, check=False)
    click.echo(f"{result.stem}: {'failed, see its .log' if done.returncode else 'done'}", err=True)


def compare(training: Training, rival: str, runs: Path) -> tuple[list[str], list[float]]:
    """Give the cells of a row, and our gains in points over the better form of a rival, by k-NN and with few labels."""
    ours = best_rows(json.loads((runs / f"{training.name}.json").read_text()))[OWN]
    theirs = json.loads(result_of(training, rival, runs).read_text())
    cells, gains = [training.collection, rival], []
    for figure in FIGURES:
        values = [theirs[form][figure] for form in FORMS]
        gains.append(100 * (ours[figure] - max(values)))
        cells += [*(f"{value:.3f}" for value in (*values, ours[figure])), f"{gains[-1]:+.1f}"]
    return cells, gains


@click.command(help=__doc__)
@common_options
@click.option("--rival", "rivals", multiple=True, type=click.Choice(list(TRAIN)), default=tuple(TRAIN))
def main(
    collections: Path,
    runs: Path,
    minutes: float,
    start: str,
    rivals: Sequence[str],
    only: Sequence[str],
    at_once: int,
) -> None:
    ours = [Training(name, "", start, minutes, 0, ()) for name in names_in(collections, only)]
    pairs = list(product((each for each in ours if (runs / f"{each.name}.json").exists()), rivals))
    how = run_all(run, [(*pair, collections, runs) for pair in pairs], at_once)
    click.echo(f"{minutes:g} minutes, start {start}, {how}; {versions('torch', 'lightly')}\n")
    compared = [compare(*pair, runs) for pair in pairs if result_of(*pair, runs).exists()]
    table(HEADS, [cells for cells, _ in compared])
    for rival in rivals:
        gains = np.array([gain for cells, gain in compared if cells[1] == rival])
        if len(gains):
            click.echo(
                f"\n{rival}: mean gain {gains[:, 0].mean():+.1f} by k-NN, {gains[:, 1].mean():+.1f} with 5 labels"
            )


if __name__ == "__main__":
    main()
