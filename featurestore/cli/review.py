"""Commands that look through a collection: outliers, label errors, clusters."""

from collections.abc import Iterator
from pathlib import Path

import click

from featurestore import curation
from featurestore.cli.findings import Output, limit_option, more, report_options
from featurestore.cli.options import seed_option, store_argument, where_option
from featurestore.curation import ClustersReport, LabelErrorsReport, OutliersReport
from featurestore.progress import ProgressBar
from featurestore.system.text_table import format_table


@click.command()
@store_argument
@limit_option("items")
@where_option
@report_options("outlier")
def outliers(store: Path, where: str | None, encoder: str | None, output: Output) -> None:
    """Find images of STORE that do not belong: far from all others, in a small group apart, or dark, light, blurred, empty, without colour, or of an unusual size or shape."""
    opened = output.open_store(store, "outliers")
    with ProgressBar() as bar:
        report = curation.outliers(opened, encoder, output.wanted, bar, where)
    output.show(opened, report, _outliers)


@click.command()
@store_argument
@limit_option("suspects")
@where_option
@report_options("label_suspect")
def label_errors(store: Path, where: str | None, encoder: str | None, output: Output) -> None:
    """Find labels of STORE that are probably wrong: those that the labels of all other images contradict.

    Nothing is changed. Look at each one before you do; about half of such suspects are confirmed as a rule.
    """
    opened = output.open_store(store, "label-errors")
    with ProgressBar() as bar:
        report = curation.label_errors(opened, encoder, output.wanted, bar, where)
    output.show(opened, report, _label_errors)


@click.command()
@store_argument
@click.option("-k", "--clusters", "count", type=click.IntRange(min=1), metavar="K", help="Number of clusters.  [default: depends on the number of images, 50 at most]")  # fmt: skip
@where_option
@seed_option
@report_options("cluster")
def clusters(
    store: Path,
    count: int | None,
    where: str | None,
    seed: int,
    encoder: str | None,
    output: Output,
) -> None:
    """Group the images of STORE by how alike they look to the encoder; of each group the most typical image, and its most frequent labels."""
    opened = output.open_store(store, "clusters")
    with ProgressBar() as bar:
        report = curation.clusters(opened, count, encoder, where, seed, bar)
    output.show(opened, report, _clusters, len(report.clusters))


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
