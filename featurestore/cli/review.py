"""Commands that look through a collection: outliers, label errors, clusters."""

from collections.abc import Iterator
from pathlib import Path

import click

from featurestore import curation
from featurestore.cli.findings import column_option, limit_option, more, open_store, picture_options, show, wanted
from featurestore.cli.options import encoder_option, json_option, seed_option, store_argument, where_option
from featurestore.curation import ClustersReport, LabelErrorsReport, OutliersReport
from featurestore.progress import ProgressBar
from featurestore.system.text_table import format_table


@click.command()
@store_argument
@limit_option("items")
@where_option
@column_option("outlier")
@picture_options
@encoder_option
@json_option
def outliers(
    store: Path,
    limit: int | None,
    where: str | None,
    column: bool,
    html: Path | None,
    sheet: Path | None,
    encoder: str | None,
    as_json: bool,
) -> None:
    """Find images of STORE that do not belong: far from all others, in a small group apart, or dark, light, blurred, empty, without colour, or of an unusual size or shape."""
    opened = open_store(store, "outliers", column)
    with ProgressBar() as bar:
        report = curation.outliers(opened, encoder, wanted(limit, as_json, html, sheet), bar, where)
    show(opened, report, _outliers, as_json, limit, column, html, sheet)


@click.command()
@store_argument
@limit_option("suspects")
@where_option
@column_option("label_suspect")
@picture_options
@encoder_option
@json_option
def label_errors(
    store: Path,
    limit: int | None,
    where: str | None,
    column: bool,
    html: Path | None,
    sheet: Path | None,
    encoder: str | None,
    as_json: bool,
) -> None:
    """Find labels of STORE that are probably wrong: those that the labels of all other images contradict.

    Nothing is changed. Look at each one before you do; about half of such suspects are confirmed as a rule.
    """
    opened = open_store(store, "label-errors", column)
    with ProgressBar() as bar:
        report = curation.label_errors(opened, encoder, wanted(limit, as_json, html, sheet), bar, where)
    show(opened, report, _label_errors, as_json, limit, column, html, sheet)


@click.command()
@store_argument
@click.option("-k", "--clusters", "count", type=click.IntRange(min=1), metavar="K", help="Number of clusters.  [default: depends on the number of images, 50 at most]")  # fmt: skip
@where_option
@seed_option
@column_option("cluster")
@picture_options
@encoder_option
@json_option
def clusters(
    store: Path,
    count: int | None,
    where: str | None,
    seed: int,
    column: bool,
    html: Path | None,
    sheet: Path | None,
    encoder: str | None,
    as_json: bool,
) -> None:
    """Group the images of STORE by how alike they look to the encoder; of each group the most typical image, and its most frequent labels."""
    opened = open_store(store, "clusters", column)
    with ProgressBar() as bar:
        report = curation.clusters(opened, count, encoder, where, seed, bar)
    show(opened, report, _clusters, as_json, len(report.clusters), column, html, sheet)


def _outliers(report: OutliersReport) -> Iterator[str]:
    yield ""
    rows = [(f"{item.score:.2f}", item.id, item.label or "", ", ".join(item.reasons), item.path) for item in report.items]  # fmt: skip
    yield from format_table(rows, ("score", "id", "label", "reasons", "path"))
    yield from more(report.n_items, len(report.items), "item")


def _label_errors(report: LabelErrorsReport) -> Iterator[str]:
    if report.suspects:
        yield ""
        rows = [(f"{s.probability:.2f}", s.id, s.label, s.suggested, s.path) for s in report.suspects]
        yield from format_table(rows, ("wrong", "id", "label", "suggested", "path"))
    yield from more(report.total, len(report.suspects), "suspect")


def _clusters(report: ClustersReport) -> Iterator[str]:
    yield ""
    rows = [(c.number, c.size, f"{c.coherence:.3f}", c.words, c.items[0].id, c.items[0].path) for c in report.clusters]
    yield from format_table(rows, ("cluster", "images", "coherence", "labels", "id", "most typical"))
