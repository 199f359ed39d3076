"""The command of the demo."""

from pathlib import Path

import click

from featurestore.progress import ProgressBar
from featurestore.system.packages import require
from featurestore.system.terminal import print_json, print_lines

PATH = click.Path(path_type=Path)


@click.command()
@click.option("--out", type=PATH, default=Path("demo"), show_default=True, help="Folder for everything the demo makes.")
@click.option("--minutes", type=float, default=1.5, show_default=True, help="Time to train.")
@click.option("--json", "as_json", is_flag=True, help="Print the figures as JSON.")
def demo(out: Path, minutes: float, as_json: bool) -> None:
    """Run everything once on handwritten digits: train, export, index, measure, search."""
    require("torch", "timm", "lightning_fabric", "onnx", "sklearn", extra="demo")
    from trainers.demo import run_demo

    with ProgressBar() as bar:
        figures = run_demo(out, minutes, bar, say=lambda text: None if as_json else print_lines(text.split("\n")))
    if as_json:
        print_json(figures)
