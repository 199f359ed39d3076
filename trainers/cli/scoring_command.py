"""The command of scoring."""

from pathlib import Path

import click

from featurestore.progress import ProgressBar
from featurestore.system.packages import require
from featurestore.system.terminal import print_result
from featurestore.system.text import counted

PATH = click.Path(path_type=Path)


@click.command()
@click.argument("run", type=PATH)
@click.argument("store", type=PATH)
@click.option("--views", type=click.IntRange(1), default=8, show_default=True, help="Random views of each image, or pairs of views, that the loss is a mean of.")  # fmt: skip
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the views, and of the images that others are compared with.")  # fmt: skip
@click.option("--missing", is_flag=True, help="Only items without a loss; the others keep theirs. Give the same RUN and options as before.")  # fmt: skip
@click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda or mps.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def score(run: Path, store: Path, views: int, seed: int, missing: bool, device: str, as_json: bool) -> None:
    """Write how high the loss of RUN's method is on each image of STORE into the column ssl_loss of the items.

    RUN is the folder of a training, of these images or of others. What a high loss means depends on the method.
    """
    require("torch", "timm", "lightning_fabric", extra="train")
    from trainers.scoring.score import score as run_scoring

    with ProgressBar() as bar:
        report = run_scoring(run, store, views=views, seed=seed, missing=missing, device=device, listener=bar)
    without = f"; {counted(report.failed, 'item')} without" if report.failed else ""
    line = f"column {report.column}: the loss of {report.method} on {counted(report.images, 'image')}, {report.views} views, seed {report.seed}"
    print_result(report.to_json(), [line + without], as_json)
