"""Commands that draw: the report of a store, and the attention maps of an encoder."""

from pathlib import Path

import click

from featurestore.cli.options import (
    PATH,
    encoder_option,
    json_option,
    seed_option,
    store_argument,
    where_option,
)
from featurestore.encoders.encoder import Encoder
from featurestore.progress import ProgressBar
from featurestore.report import FORMATS, MAPS, Format
from featurestore.storage import Storage
from featurestore.system.terminal import print_line, print_result


@click.command()
@store_argument
@click.option(
    "--out", type=PATH, required=True, metavar="FILE", help="Where to write it: report.html, report.md or report.json."
)
@click.option("--format", "format_", type=click.Choice(FORMATS), help="Format.  [default: the suffix of FILE]")
@click.option("--run", type=PATH, metavar="RUN", help="Folder of the encoder's training run, to show its curves.")
@click.option(
    "--map",
    "map_",
    type=click.Choice(MAPS),
    help="Method that lays out the map.  [default: tsne where scikit-learn is installed, otherwise pca]",
)
@where_option
@seed_option
@encoder_option
@json_option
def report(
    store: Path,
    out: Path,
    format_: Format | None,
    run: Path | None,
    map_: str | None,
    where: str | None,
    seed: int,
    encoder: str | None,
    as_json: bool,
) -> None:
    """Write a report of STORE to share: one HTML file with figures, images, mistakes and a map.

    Without labels it contains the parts that need none.
    """
    from featurestore.report.build import build  # here, since it is slow to import

    with ProgressBar() as bar:
        made = build(Storage.open(store), encoder, run, map_, seed, bar, where=where)
        made.save(out, format_, bar)
    missing = made.figures.missing
    for part, reason in missing.items():
        print_line(f"without {part}: {reason}", err=True)
    size = out.stat().st_size
    held = made.figures.collection
    chosen = "" if where is None else f" of {held.of:,}"
    text = f"report of {held.items:,}{chosen} images written to {out}, {size / 1e6:.1f} MB"
    print_result({"file": str(out), "bytes": size, "missing": missing}, [text], as_json)


@click.command()
@click.argument("encoder", type=PATH)
@click.argument("image", type=PATH)
@click.option("--out", type=PATH, required=True, metavar="FILE.png", help="Picture to write.")
@json_option
def attention(encoder: Path, image: Path, out: Path, as_json: bool) -> None:
    """Draw where a ViT ENCODER, exported with --attention, looks in IMAGE."""
    from featurestore.report.attention import draw  # here, since it loads what draws text

    drawn = draw(Encoder(encoder), image, out)
    print_result({"picture": str(drawn)}, [str(drawn)], as_json)
