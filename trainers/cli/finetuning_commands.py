"""Commands of fine-tuning: finetune, field."""

from pathlib import Path
from typing import Any

import click

from featurestore.progress import ProgressBar
from featurestore.system.packages import require
from featurestore.system.terminal import print_result

PATH = click.Path(path_type=Path)


def _training_options(command: Any) -> Any:
    """Add the options that every training of a classifier has."""
    for option in (
        click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or mps."),
        click.option("--minutes", type=float, help="Train for this long instead; trials before it take as long again."),
        click.option("--epochs", type=int, help="Passes of a training over its labels.  [default: by their number]"),
        click.option(
            "--head",
            type=click.Choice(["mlp", "linear", "projection"]),
            default="mlp",
            show_default=True,
            help="On the backbone; projection: with the first layer of the method's own projection.",
        ),
        click.option(
            "--label-column",
            metavar="NAME",
            help="The column of labels in that file, or in a table.  [default: label, class or similar]",
        ),
        click.option(
            "--labels",
            metavar="folders|FILE.csv",
            default="folders",
            show_default=True,
            help="The parent folder of an image, or a file with path, label and perhaps split.",
        ),
    ):
        command = option(command)
    return command


@click.command()
@click.argument("run", type=PATH)
@click.argument("source")
@click.option("--out", type=PATH, required=True, metavar="DIR", help="Folder for classifier.onnx and its figures.")
@click.option(
    "--fraction", type=float, default=1.0, show_default=True, help="Share of each class's labels to learn from."
)
@click.option("--from-scratch", is_flag=True, help="Start from random weights instead: what RUN must beat.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of the draw, the head, the order.")
@_training_options
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def finetune(run: Path, source: str, out: Path, as_json: bool, **options: Any) -> None:
    """Train a classifier on a share of the labels of SOURCE, from the network of RUN, and write it as one ONNX file."""
    require("torch", "timm", "lightning_fabric", "onnx", extra="train")
    from trainers.finetuning.finetune import finetune as run_finetuning

    with ProgressBar() as bar:
        found = run_finetuning(run, source, out, listener=bar, **options)
    print_result(found.to_json(), str(found).split("\n"), as_json)


@click.command()
@click.argument("source")
@click.option("--run", "runs", type=PATH, multiple=True, required=True, help="A training run; may be repeated.")
@click.option(
    "--fraction",
    "fractions",
    type=float,
    multiple=True,
    default=(0.01, 0.1, 1.0),
    show_default=True,
    help="Share of each class's labels; may be repeated.",
)
@click.option("--seeds", type=int, default=3, show_default=True, help="Draws of each share.")
@click.option(
    "--out",
    type=PATH,
    required=True,
    metavar="FILE.md|FILE.json",
    help="The table; finished figures are saved beside it.",
)
@_training_options
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def field(source: str, runs: tuple[Path, ...], out: Path, as_json: bool, **options: Any) -> None:
    """Compare runs by label efficiency: each share of the labels, fine-tuned, linear, k-NN, and supervised from scratch."""
    require("torch", "timm", "lightning_fabric", "onnx", extra="train")
    require("sklearn", extra="eval")
    from trainers.finetuning.label_efficiency import field as run_field

    with ProgressBar() as bar:
        table = run_field(source, runs, out, listener=bar, **options)
    print_result(table.to_json(), table.to_markdown().split("\n"), as_json)
