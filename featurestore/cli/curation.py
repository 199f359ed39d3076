"""Commands that find what is wrong with a collection: duplicates, leaks."""

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click

from featurestore import curation
from featurestore.cli.findings import Output, limit_option, more, report_options, text
from featurestore.cli.options import PATH, store_argument
from featurestore.curation import DuplicateGroup, DuplicatesReport, LeaksReport, Removal
from featurestore.curation.duplicates import ORDERS, Keep
from featurestore.curation.pairs import MIRRORED
from featurestore.errors import ConfigError
from featurestore.progress import ProgressBar
from featurestore.storage import Storage
from featurestore.storage.deleted_file import require_new
from featurestore.system.interrupts import uninterrupted
from featurestore.system.terminal import print_lines, print_result
from featurestore.system.text import as_argument, counted, printable
from featurestore.system.text_table import format_table


@click.command()
@store_argument
@limit_option("groups")
@click.option("--min-score", type=click.FloatRange(0, 1), default=0.0, metavar="SCORE", help="Only copies that are as sure as this, such as 0.99; exact ones have 1.")  # fmt: skip
@click.option("--keep", type=click.Choice(list(ORDERS)), default="best", show_default=True, help="Which item of a group to keep: a labelled one, otherwise the largest in pixels, then the one with most copies, then the sharpest; or the one that was indexed first.")  # fmt: skip
@click.option("--delete", is_flag=True, help="Delete the other items of exact and near groups from STORE, after asking; never mirrored ones.")  # fmt: skip
@click.option("--out", type=PATH, metavar="FILE.csv", help="With --delete: a new file for what STORE forgets, .csv or .jsonl.  [default: STORE-duplicates-DATE.csv in the current folder]")  # fmt: skip
@click.option("--yes", is_flag=True, help="With --delete: do not ask.")
@report_options("dup_group")
def duplicates(
    store: Path,
    min_score: float,
    keep: Keep,
    delete: bool,
    out: Path | None,
    yes: bool,
    encoder: str | None,
    output: Output,
) -> None:
    """Find pictures that are in STORE more than once: identical files, and other sizes, crops, compressions, colours or mirror images.

    The item to keep is listed first. Without --delete nothing is deleted, and files of images never are. The first call reads every image
    once, and keeps small pictures and what it found in STORE.
    """
    if not delete and (out is not None or yes):
        raise click.UsageError("--out and --yes say how to delete; add --delete")
    if delete and output.column:
        raise click.UsageError("--column numbers the groups that --delete takes away; give one of the two")
    if delete and not yes and not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise ConfigError("--delete asks before it deletes, and there is no terminal to ask on; add --yes to delete without being asked")  # fmt: skip
    if out is not None:
        require_new(out)
    opened = output.open_store(store, "duplicates")
    with ProgressBar() as bar:
        report = curation.duplicates(opened, encoder, bar, keep, min_score)
    listed = report.first(output.wanted)
    if not delete:
        output.show(opened, listed, _duplicates)
        return
    output.draw(listed)
    if not output.as_json:
        print_lines(text(listed, _duplicates, output.limit))
    goes_on = report.superfluous and (yes or click.confirm(_question(report, store), err=True))
    with uninterrupted():  # what was deleted is told, too
        removal = curation.delete_copies(opened, report, out) if goes_on else Removal(0, 0, None)
        print_result(listed.to_json() | removal.to_json(), _removal(removal, opened), output.as_json)


def _question(report: DuplicatesReport, store: Path) -> str:
    copies = [item for group in report.groups if group.kind != MIRRORED for item in group.items[1:]]
    splits = Counter(item.split for item in copies if item.split is not None)
    of_splits = f" ({', '.join(f'{split} {count:,}' for split, count in sorted(splits.items()))})" if splits else ""
    return printable(
        f"{counted(len(copies), 'item')}{of_splits} of {report.n_items:,} will be deleted from {store}, and written to a file before. Their images stay. Delete them?"
    )


def _removal(removal: Removal, store: Storage) -> Iterator[str]:
    yield ""
    if removal.file is None:
        yield "nothing was deleted"
    else:
        at = as_argument(store.path) + ("" if store.catalog.sources.all() else " SOURCE")
        yield f"{counted(removal.deleted, 'item')} deleted; what the store knew of them is in {removal.file}"
        yield f"to have them back: featurestore index {at} --restore {as_argument(removal.file)}"
    if removal.left:
        yield f"{counted(removal.left, 'copy', 'copies')} stayed, since the store has changed since they were compared"


@click.command()
@store_argument
@limit_option("pairs")
@report_options()
def leaks(store: Path, encoder: str | None, output: Output) -> None:
    """Find pictures of STORE that are in two splits, such as train and test. Accuracy that is measured on the later one is then too high.

    Train comes before val, and val before test.
    """
    opened = output.open_store(store, "leaks")
    with ProgressBar() as bar:
        report = curation.leaks(opened, encoder, bar, output.wanted)
    output.show(opened, report, _leaks)


def _leaks(report: LeaksReport) -> Iterator[str]:
    rows = [(f"{leak.score:.3f}", leak.kind, leak.splits[at], leak.labels[at] or "", path) for leak in report.pairs for at, path in enumerate((leak.a, leak.b))]  # fmt: skip
    if rows:
        yield ""
        yield from format_table(rows, ("score", "kind", "split", "label", "path"))
    yield from more(report.total, len(report.pairs), "pair")


def _duplicates(report: DuplicatesReport) -> Iterator[str]:
    for group in report.groups:
        yield ""
        yield from _group(group)
    yield from more(report.total, len(report.groups), "group")


def _group(group: DuplicateGroup) -> Iterator[str]:
    rows = [
        (
            "keep" if item is group.keep else "",
            f"{item.score:.3f}",
            item.id,
            "" if item.width is None else f"{item.width} x {item.height}",
            item.split or "",
            item.label or "",
            item.path,
        )
        for item in group.items
    ]
    yield from format_table(rows, (group.kind, "score", "id", "size", "split", "label", "path"))
