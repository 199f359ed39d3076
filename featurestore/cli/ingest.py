"""The command that brings a store up to date with its sources."""

import sys
from pathlib import Path

import click

from featurestore.cli.metadata import label_counts
from featurestore.cli.options import (
    PATH,
    column_options,
    exclude_option,
    json_option,
    provider_option,
    store_argument,
)
from featurestore.errors import StoreNotFound
from featurestore.imaging.pool import LEAST_SECONDS, MOST_WORKERS
from featurestore.ingest.run import ingest
from featurestore.maintenance import optimize
from featurestore.progress import ProgressBar
from featurestore.search import slow
from featurestore.sources.reasons import SHOWN
from featurestore.storage import Storage
from featurestore.system.terminal import print_line, print_result
from featurestore.system.text import as_argument, counted


@click.command()
@store_argument
@click.argument("sources", metavar="[SOURCE]...", nargs=-1)
@click.option(
    "--encoder",
    type=PATH,
    help="The encoder.onnx to run, or the folder of a training run.  [default: all encoders of STORE]",
)
@click.option(
    "--labels", default="none", show_default=True, metavar="none|folders|FILE", help="Where labels come from."
)
@column_options
@click.option(
    "--workers", type=click.IntRange(1, MOST_WORKERS), help="Threads that decode images.  [default: one per processor]"
)
@click.option(
    "--image-seconds",
    type=click.FloatRange(min=LEAST_SECONDS),
    default=30.0,
    show_default=True,
    help="Time limit for reading one image, and again for decoding it; an image that takes longer is a failure.",
)
@exclude_option
@click.option("--include-deleted", is_flag=True, help="Add items again that were deleted from STORE.")
@click.option(
    "--restore",
    type=PATH,
    metavar="FILE",
    help="Add the items of FILE again, which `duplicates --delete` wrote, with their labels, splits and columns.",
)
@click.option(
    "--auto-optimize",
    is_flag=True,
    help="Run `optimize` afterwards if that makes searches of a large collection faster.",
)
@provider_option
@json_option
def index(
    store: Path,
    sources: tuple[str, ...],
    encoder: Path | None,
    labels: str,
    workers: int | None,
    image_seconds: float,
    exclude: tuple[str, ...],
    include_deleted: bool,
    restore: Path | None,
    auto_optimize: bool,
    provider: str,
    as_json: bool,
    **columns: str | None,
) -> None:
    """Bring STORE up to date with its sources: encode new and changed images, remove those that are gone.

    A SOURCE is a folder, an image, a list of paths (.txt), a .tar shard, a .parquet file, a folder of Hugging Face datasets, or the URL of one. Without SOURCE, those of
    earlier runs.
    """
    with ProgressBar() as bar:
        try:
            opened = Storage.open(store, encoder=encoder, provider=provider)
        except StoreNotFound as error:
            raise StoreNotFound(
                f"no store at {str(store)!r}, and a new one needs an encoder: add --encoder FILE; to train one: "
                f"featurestore train {as_argument(sources[0]) if sources else 'SOURCE'} --out run"
            ) from error
        report = ingest(
            opened,
            *sources,
            labels=labels,
            workers=workers,
            image_seconds=image_seconds,
            include_deleted=include_deleted,
            restore=restore,
            exclude=exclude or None,
            **columns,
            listener=bar,
        )
        reasons = slow(opened)
        if reasons and auto_optimize:
            optimize(opened, listener=bar)
            reasons = []
    for reason in reasons:
        print_line(f"{reason}; for faster searches: featurestore optimize {as_argument(store)}", err=True)
    lines = [
        (f"{r.encoder}: " if report.others else "")
        + f"{r.added:,} added, {r.updated:,} updated, {r.unchanged:,} unchanged, {r.removed:,} removed, {r.failed:,} failed"
        + f"{f', {r.moved:,} moved' if r.moved else ''}  ({r.images_per_second:g} images/s)"
        for r in (report, *report.others)
    ]
    if labels != "none" or restore is not None:
        lines.append(label_counts(report.labels_set, report.labels_changed, report.labels_kept))
    print_result(report.to_json(), lines, as_json)
    if report.deleted and not as_json:
        print_line(
            f"left out: {counted(report.deleted, 'file')} deleted from {store} before; to add: --include-deleted",
            err=True,
        )
    for problem in report.not_run:
        print_line(f"not run: {problem}", err=True)
    if report.failed and not as_json:
        print_line(
            f"{counted(report.failed, 'file')} could not be used; to list: featurestore failures {as_argument(store)}",
            err=True,
        )
        for group in report.reasons[:SHOWN]:
            print_line(f"  {group}", err=True)
    if report.not_run:
        sys.exit(1)
