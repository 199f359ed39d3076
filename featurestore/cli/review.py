"""Commands that look through a collection: outliers, label errors, clusters."""

from collections.abc import Iterator
from pathlib import Path

import click

from featurestore import curation
from featurestore.cli.findings import column_option, first, limit_option, more, show
from featurestore.cli.options import encoder_option, json_option, seed_option, store_argument, where_option
from featurestore.curation import ClustersReport, LabelErrorsReport, OutliersReport
from featurestore.progress import ProgressBar
from featurestore.storage import Storage
from featurestore.system.text import counted
from featurestore.system.text_table import format_table


@click.command()
@store_argument
@limit_option("items")
@column_option("outlier")
@encoder_option
@json_option
def outliers(store: Path, limit: int | None, column: bool, encoder: str | None, as_json: bool) -> None:
    """Find images of STORE that do not belong: far from all others, in a small group apart, or dark, light, blurred, empty, without colour, or of an unusual size or shape."""
    opened = Storage.open(store)
    with ProgressBar() as bar:
        report = curation.outliers(opened, encoder, limit, bar)
    show(opened, report, _outliers(report, limit), as_json, column)


@click.command()
@store_argument
@limit_option("suspects")
@column_option("label_suspect")
@encoder_option
@json_option
def label_errors(store: Path, limit: int | None, column: bool, encoder: str | None, as_json: bool) -> None:
    """Find labels of STORE that are probably wrong: those that the labels of all other images contradict.

    Nothing is changed. Look at each one before you do; about half of such suspects are confirmed as a rule.
    """
    opened = Storage.open(store)
    with ProgressBar() as bar:
        report = curation.label_errors(opened, encoder, limit, bar)
    show(opened, report, _label_errors(report, limit), as_json, column)


@click.command()
@store_argument
@click.option("-k", "--clusters", "count", type=click.IntRange(min=1), metavar="K", help="Number of clusters.  [default: depends on the number of images, 50 at most]")  # fmt: skip
@where_option
@seed_option
@column_option("cluster")
@encoder_option
@json_option
def clusters(
    store: Path, count: int | None, where: str | None, seed: int, column: bool, encoder: str | None, as_json: bool
) -> None:
    """Group the images of STORE by how alike they look to the encoder; of each group the most typical image, and its most frequent labels."""
    opened = Storage.open(store)
    with ProgressBar() as bar:
        report = curation.clusters(opened, count, encoder, where, seed, bar)
    show(opened, report, _clusters(report), as_json, column)


def _outliers(report: OutliersReport, limit: int | None) -> Iterator[str]:
    yield f"{counted(report.n_items, 'item')}, the oddest first; a score of 3 is as odd as one of a thousand"
    if report.looks:
        yield "unusual looks: " + ", ".join(f"{count:,} {name}" for name, count in report.looks.items())
    if report.unseen:
        yield f"{counted(report.unseen, 'picture')} could not be looked at, since their files are gone, changed or broken; of these only the vectors count"
    if report.recall < 1:
        yield f"neighbours are from the index, which finds {report.recall:.1%} of them"
    yield ""
    rows = [(f"{item.score:.2f}", item.id, item.label or "", ", ".join(item.reasons), item.path) for item in first(report.items, limit)]  # fmt: skip
    yield from format_table(rows, ("score", "id", "label", "reasons", "path"))
    yield from more(report.n_items, limit, "item")


def _label_errors(report: LabelErrorsReport, limit: int | None) -> Iterator[str]:
    yield f"{counted(report.total, 'suspect')} among {counted(report.n_labelled, 'labelled item')}"
    if report.several_labels:
        yield f"{counted(report.several_labels, 'item has', 'items have')} several labels and were left out"
    listed = first(report.suspects, limit)
    if listed:
        sure = sum(suspect.probability for suspect in listed) / len(listed)
        yield f"of the {len(listed):,} below, some {sure:.0%} are expected to be wrong; look at each before you change it"
        yield ""
        rows = [(f"{s.probability:.2f}", s.id, s.label, s.suggested, s.path) for s in listed]
        yield from format_table(rows, ("wrong", "id", "label", "suggested", "path"))
    yield from more(report.total, limit, "suspect")


def _clusters(report: ClustersReport) -> Iterator[str]:
    yield f"{counted(len(report.clusters), 'cluster')} of {counted(report.n_items, 'item')}"
    yield ""
    rows = []
    for cluster in report.clusters:
        words = ", ".join(f"{label} {count / cluster.labelled:.0%}" for label, count in cluster.labels.items())
        rows.append(
            (
                cluster.number,
                cluster.size,
                f"{cluster.coherence:.3f}",
                words,
                cluster.items[0].id,
                cluster.items[0].path,
            )
        )
    yield from format_table(rows, ("cluster", "images", "coherence", "labels", "id", "most typical"))
