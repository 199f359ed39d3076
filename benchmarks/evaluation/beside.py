"""Networks that were trained from random weights, beside known weights: the table that `featurestore train --minutes` ends with.

    python -m benchmarks.evaluation.adaptation COLLECTIONS RUNS --minutes 5
    python -m benchmarks.evaluation.beside COLLECTIONS RUNS

A training beside known weights trains the same network, so that each of RUNS shows, without another training, what stands beside
EfficientNet-Lite0 (ImageNet) at 224 px. RUNS keeps the result of each, RUN.beside.json; the same command again does what is missing.
Prints Markdown, one line a run: k-NN and the accuracy with 5 labels a class of the known weights in their better form, of the trained network
alone, and of the encoder that the product would write if raw pixels are not better; the points of the last over the first, and over the weights as they were published.
"""

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import click
import torch
from torch import Tensor, nn

from benchmarks.evaluation.adaptation import figure
from benchmarks.evaluation.proof import load
from benchmarks.machine import processor, versions
from benchmarks.real_weights import NETWORK, weights_file
from benchmarks.tables import table
from featurestore.imaging.preprocess import Preprocess
from featurestore.progress import Listener
from featurestore.system.cpus import available_cpus
from trainers.training.beside import beside, known_weights, steadied
from trainers.training.compared import compare_on
from trainers.training.contender import BESIDE, BESIDE_FITTED, LAYOUT, OWN, START, alone
from trainers.training.contenders import trained
from trainers.training.labelled_sample import take_sample
from trainers.training.proof import measure
from trainers.training.setup import open_run, preprocess_of

SIZE, IMAGES = 224, 2000  # pixels that the known network sees; images of each split, at most
HEADS = (
    "run", "k-NN: start", "own alone", "written", "gain", "over published", "5 labels: start", "own alone", "written", "gain",
    "over published", "written is",
)  # fmt: skip


class Renormalised(nn.Module):
    """A network of timm that takes pixels normalised as `given` says, not as its `own` preprocessing."""

    def __init__(self, network: Any, given: Preprocess, own: Preprocess) -> None:
        super().__init__()
        self.network, self.num_features, self.feature_info = network, network.num_features, network.feature_info
        mean, std, own_mean, own_std = (
            torch.tensor(each)[:, None, None] for each in (given.mean, given.std, own.mean, own.std)
        )
        self.scale, self.shift = std / own_std, (mean - own_mean) / own_std

    def forward(self, x: Tensor) -> Any:
        return self.network(x * self.scale + self.shift)

    def forward_intermediates(self, x: Tensor, indices: list[int]) -> Any:
        """Give the last map and those of the stages `indices`."""
        return self.network.forward_intermediates(x * self.scale + self.shift, indices=indices)

    def forward_head(self, final: Tensor) -> Any:
        return self.network.forward_head(final)


def rows_of(run: Path, collection: Path) -> list[dict[str, Any]]:
    """Measure the trained network of a run alone, and in all forms beside the known one."""
    config, method, state = open_run(run)
    record = preprocess_of(config)
    images = load(collection, record, IMAGES)
    config = replace(config, base=str(weights_file()), base_backbone=NETWORK.removeprefix("timm:"), base_size=SIZE)
    compared = compare_on(images, take_sample(images, images.held_back), config, Listener())
    known, own = known_weights(config, state, torch.device("cpu")), trained(config, method, state)
    # The run knew nothing of the known network, and took pixels by another mean.
    published = replace(record, mean=(0.5,) * 3, std=(0.5,) * 3)
    known = replace(known, network=Renormalised(known.network, record, published).eval())
    steady = steadied(known, compared.images[SIZE].pixels, method.views[0])
    found = [alone(own), beside(known, own, config, steady)]
    return [
        {**row.to_json(), "length": row.contender.parts[-1].length}
        for row in measure(found, compared, method.views[0], whiten=True)
    ]


def line(name: str, rows: Sequence[dict[str, Any]]) -> list[str]:
    """Show the measured forms of a run as cells of a table."""

    def best(*names: str) -> dict[str, Any]:
        return max((row for row in rows if row["encoder"] in names), key=figure)

    known, own = (START, START + LAYOUT), (OWN, OWN + LAYOUT)
    both = (OWN + form + layout for form in (BESIDE, BESIDE_FITTED) for layout in ("", LAYOUT))
    start, own_alone, written, published = best(*known), best(*own), best(*own, *both, *known), best(START)
    cells = [name]
    for measured in ("knn_top1", "few_labels_top1"):
        shown = [row[measured] or 0.0 for row in (start, own_alone, written, published)]
        cells += [f"{value:.3f}" for value in shown[:3]]
        cells += [f"{100 * (shown[2] - shown[before]):+.1f}" for before in (0, 3)]
    form = written["encoder"].removeprefix(OWN).strip(", ") or "own alone"
    return [*cells, f"{form} ({written['length']:g})"]


@click.command(help=__doc__)
@click.argument("collections", type=click.Path(exists=True, path_type=Path))
@click.argument("runs", type=click.Path(exists=True, path_type=Path))
@click.option("--only", multiple=True, metavar="RUN", help="[default: all runs]")
def main(collections: Path, runs: Path, only: Sequence[str]) -> None:
    lines = []
    for run in sorted(path for path in runs.iterdir() if (path / "checkpoint.pt").is_file()):
        if "_none_" not in run.name or (only and run.name not in only):
            continue
        result = run.with_name(f"{run.name}.beside.json")
        if not result.exists():
            with torch.no_grad():
                rows = rows_of(run, collections / run.name.split("_")[0])
            result.write_text(json.dumps(rows, indent=1))
        lines.append(line(run.name, json.loads(result.read_text())))
        click.echo(" ".join(lines[-1]), err=True)
    click.echo(f"{available_cpus()} cores; {processor()}; {versions('torch')}\n")
    table(HEADS, lines)


if __name__ == "__main__":
    main()
