"""The command that whitens an encoder."""

from pathlib import Path

import click

from featurestore.cli.options import PATH, encoder_option, json_option, store_argument
from featurestore.ingest.whitened import whiten as whiten_encoder
from featurestore.progress import ProgressBar
from featurestore.storage import Storage
from featurestore.system.terminal import print_result
from featurestore.system.text import as_argument, counted


@click.command()
@store_argument
@click.option("--out", type=PATH, required=True, metavar="FILE.onnx", help="The encoder file to write.")
@encoder_option
@json_option
def whiten(store: Path, out: Path, encoder: str | None, as_json: bool) -> None:
    """Make an encoder of STORE better for search and few labels: its vectors are half-whitened.

    The new encoder is fitted to the vectors that STORE has of split train (of all items if none is), without labels, and written
    to FILE.onnx. STORE gets it as another encoder, with the vectors of all items: they are calculated from the present ones, and no image is
    read. `featurestore compare` shows both.
    """
    with ProgressBar() as bar:
        report = whiten_encoder(Storage.open(store), out, encoder, bar)
    of = "all items" if report.split is None else f"split {report.split}"
    at = as_argument(store)
    lines = [
        f"{report.file}: fitted to {counted(report.fitted_to, 'vector')} of {of}; {store} has {counted(report.mapped, 'vector')} of it as {report.encoder}",
        f"to compare both: featurestore compare {at}; to make it the default: featurestore encoders {at} --default {as_argument(report.encoder)}",
    ]
    print_result(report.to_json(), lines, as_json)
