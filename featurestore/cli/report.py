"""The command that writes a report."""

from pathlib import Path

import click

from featurestore.cli.options import PATH, encoder_option, json_option, print_json
from featurestore.progress import ProgressBar
from featurestore.report import FORMATS, MAPS, Format
from featurestore.store import FeatureStore


@click.command()
@click.argument("store", type=PATH)
@click.option(
    "--out", type=PATH, required=True, metavar="FILE", help="Where to write it: report.html, report.md or report.json."
)
@click.option("--format", "format_", type=click.Choice(FORMATS), help="What to write.  [default: what FILE ends in]")
@click.option("--run", type=PATH, metavar="RUN", help="Folder of the training run of the encoder, for its curves.")
@click.option(
    "--map", "map_", type=click.Choice(MAPS), default="pca", show_default=True, help="How to lay out the map."
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of everything that is drawn by chance.")
@encoder_option
@json_option
def report(
    store: Path,
    out: Path,
    format_: Format | None,
    run: Path | None,
    map_: str,
    seed: int,
    encoder: str | None,
    as_json: bool,
) -> None:
    """Write a report of STORE that can be shown around: one HTML file with its figures, images, mistakes and a map.

    Without labels it holds what needs none.
    """
    with ProgressBar() as bar:
        made = FeatureStore.open(store).report(encoder, run, map_, seed, bar)
        made.save(out, format_, bar)
    for part, reason in made.figures.missing.items():
        click.echo(f"without {part}: {reason}", err=True)
    if as_json:
        print_json({"file": str(out), "bytes": out.stat().st_size, "missing": made.figures.missing})
    else:
        click.echo(
            f"report of {made.figures.collection.items:,} images written to {out}, {out.stat().st_size / 1e6:.1f} MB"
        )
