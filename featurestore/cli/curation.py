"""Commands that find what is wrong with a collection: duplicates, leaks."""

from collections.abc import Iterator
from pathlib import Path

import click

from featurestore import curation
from featurestore.cli.options import encoder_option, json_option, store_argument
from featurestore.curation import DuplicateGroup, DuplicatesReport, LeaksReport
from featurestore.curation.pairs import KINDS
from featurestore.progress import ProgressBar
from featurestore.storage import Storage
from featurestore.system.terminal import print_result
from featurestore.system.text import counted
from featurestore.system.text_table import format_table

SHOWN = 20  # groups


@click.command()
@store_argument
@click.option("-n", "--groups", "shown", type=click.IntRange(min=0), default=SHOWN, show_default=True, help="Number of groups that are printed; --json has all.")  # fmt: skip
@encoder_option
@json_option
def duplicates(store: Path, shown: int, encoder: str | None, as_json: bool) -> None:
    """Find pictures that are in STORE more than once: identical files, and other sizes, crops, compressions, colours or mirror images.

    Nothing is deleted. The item to keep is listed first: a labelled one, otherwise the largest in pixels. The first call reads every image
    once, and keeps small pictures in STORE.
    """
    with ProgressBar() as bar:
        report = curation.duplicates(Storage.open(store), encoder, bar)
    print_result(report.to_json(), _duplicates(report, shown), as_json)


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
