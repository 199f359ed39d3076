"""Commands that find what is wrong with a collection: duplicates, leaks."""

import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import click

from featurestore import curation
from featurestore.cli.options import PATH, encoder_option, json_option, store_argument
from featurestore.curation import DuplicateGroup, DuplicatesReport, LeaksReport, Removal
from featurestore.curation.duplicates import ORDERS, Keep
from featurestore.curation.pairs import KINDS, MIRRORED
from featurestore.errors import ConfigError
from featurestore.progress import ProgressBar
from featurestore.storage import Storage
from featurestore.storage.deleted_file import require_new
from featurestore.system.interrupts import uninterrupted
from featurestore.system.terminal import print_lines, print_result
from featurestore.system.text import as_argument, counted, printable
from featurestore.system.text_table import format_table

SHOWN = 20  # groups


@click.command()
@store_argument
@click.option("-n", "--groups", "shown", type=click.IntRange(min=0), default=SHOWN, show_default=True, help="Number of groups that are printed; --json has all.")  # fmt: skip
@click.option("--min-score", type=click.FloatRange(0, 1), default=0.0, metavar="SCORE", help="Only copies that are as sure as this, such as 0.99; exact ones have 1.")  # fmt: skip
@click.option("--keep", type=click.Choice(list(ORDERS)), default="best", show_default=True, help="Which item of a group to keep: a labelled one, otherwise the largest in pixels, then the sharpest; or the one that was indexed first.")  # fmt: skip
@click.option("--delete", is_flag=True, help="Delete the other items of exact and near groups from STORE, after asking; never mirrored ones.")  # fmt: skip
@click.option("--out", type=PATH, metavar="FILE.csv", help="With --delete: a new file for what STORE forgets, .csv or .jsonl.  [default: STORE-duplicates-DATE.csv in the current folder]")  # fmt: skip
@click.option("--yes", is_flag=True, help="With --delete: do not ask.")
@encoder_option
@json_option
def duplicates(
    store: Path,
    shown: int,
    min_score: float,
    keep: Keep,
    delete: bool,
    out: Path | None,
    yes: bool,
    encoder: str | None,
    as_json: bool,
) -> None:
    """Find pictures that are in STORE more than once: identical files, and other sizes, crops, compressions, colours or mirror images.

    The item to keep is listed first. Without --delete nothing is deleted, and files of images never are. The first call reads every image
    once, and keeps small pictures and what it found in STORE.
    """
    if not delete and (out is not None or yes):
        raise click.UsageError("--out and --yes say how to delete; add --delete")
    if delete and not yes and not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise ConfigError("--delete asks before it deletes, and there is no terminal to ask on; add --yes to delete without being asked")  # fmt: skip
    if out is not None:
        require_new(out)
    opened = Storage.open(store)
    with ProgressBar() as bar:
        report = curation.duplicates(opened, encoder, bar, keep, min_score)
    if not delete:
        print_result(report.to_json(), _duplicates(report, shown), as_json)
        return
    if not as_json:
        print_lines(_duplicates(report, shown))
    goes_on = report.superfluous and (yes or click.confirm(_question(report, store), err=True))
    with uninterrupted():  # what was deleted is told, too
        removal = curation.delete_copies(opened, report, out) if goes_on else Removal(0, 0, None)
        print_result(report.to_json() | removal.to_json(), _removal(removal, opened), as_json)


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
@click.option("-n", "--pairs", "shown", type=click.IntRange(min=0), default=SHOWN, show_default=True, help="Number of pairs that are printed; --json has all.")  # fmt: skip
@encoder_option
@json_option
def leaks(store: Path, shown: int, encoder: str | None, as_json: bool) -> None:
    """Find pictures of STORE that are in two splits, such as train and test. Accuracy that is measured on the later one is then too high.

    Train comes before val, and val before test.
    """
    with ProgressBar() as bar:
        report = curation.leaks(Storage.open(store), encoder, bar)
    print_result(report.to_json(), _leaks(report, shown), as_json)


def _leaks(report: LeaksReport, shown: int) -> Iterator[str]:
    yield f"{counted(len(report.pairs), 'pair')} across splits"
    for split, leaking in report.leaking.items():
        if leaking:
            share = leaking / report.splits[split]
            yield f"{split}: {leaking:,} of {counted(report.splits[split], 'item')} ({share:.1%}) with a picture that an earlier split has"
    yield from _warnings(report)
    rows = [(f"{leak.score:.3f}", leak.kind, leak.splits[at], leak.labels[at] or "", path) for leak in report.pairs[:shown] for at, path in enumerate((leak.a, leak.b))]  # fmt: skip
    if rows:
        yield ""
        yield from format_table(rows, ("score", "kind", "split", "label", "path"))
    yield from _more(len(report.pairs), shown, "pair")


def _warnings(report: DuplicatesReport | LeaksReport) -> Iterator[str]:
    if report.unseen:
        yield f"{counted(report.unseen, 'picture')} could not be looked at, since their files are gone, changed or broken; of these, only those with nearly equal vectors are listed"
    if report.limit == 1:
        yield "different pictures of this collection are as alike as copies: no near or mirrored ones are listed"
    elif report.precision is not None:
        yield f"{report.precision:.0%} of near and mirrored pairs are copies, by an estimate; their details agree by {report.limit:.3f} or more"
    if report.recall < 1:
        yield f"neighbours are from the index, which finds {report.recall:.1%} of them"


def _more(count: int, shown: int, one: str) -> Iterator[str]:
    if count > shown:
        yield ""
        yield f"{counted(count - shown, f'more {one}')}: see them with -n {count}, or with --json"


def _duplicates(report: DuplicatesReport, shown: int) -> Iterator[str]:
    kinds = [group.kind for group in report.groups]
    counts = ", ".join(f"{kinds.count(kind)} {kind}" for kind in KINDS if kind in kinds)
    yield f"{counted(len(kinds), 'group')} among {counted(report.n_items, 'item')}{': ' + counts if counts else ''}"
    if report.superfluous:
        yield f"{counted(report.superfluous, 'item seems', 'items seem')} superfluous; look at them before you delete any"
    yield from _warnings(report)
    for group in report.groups[:shown]:
        yield ""
        yield from _group(group)
    yield from _more(len(kinds), shown, "group")


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
