"""Options and output that the commands share which look for something in a collection."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import click

from featurestore.curation.findings import Findings, keep_columns
from featurestore.storage import Storage
from featurestore.system.terminal import print_line, print_result
from featurestore.system.text import counted

SHOWN = 20


def limit_option(what: str) -> Callable[..., Any]:
    """Make the option that says how many are listed; what: their name in the plural."""
    return click.option("-n", "--limit", type=click.IntRange(min=0), metavar="N", help=f"List at most N {what}.  [default: {SHOWN}; with --json all]")  # fmt: skip


def column_option(names: str) -> Callable[..., Any]:
    """Make the option that writes columns; names: of the columns."""
    return click.option(
        "--column", is_flag=True, help=f"Also write the column {names} into STORE, for --where and sql."
    )


def show(store: Storage, report: Findings, lines: Iterable[str], as_json: bool, column: bool = False) -> None:
    """Print a report, and write its columns into the store where that is wanted."""
    if column:
        names = keep_columns(store, report)
        print_line(f"written into {store.path}: column {', '.join(names)}", err=True)
    print_result(report.to_json(), lines, as_json)


def first(entries: Sequence[Any], limit: int | None) -> Sequence[Any]:
    """Give the entries that are printed."""
    return entries[: SHOWN if limit is None else limit]


def more(count: int, limit: int | None, one: str) -> Iterator[str]:
    """Say how many more there are; one: the name of one."""
    rest = count - (SHOWN if limit is None else limit)
    if rest > 0:
        yield ""
        yield f"{counted(rest, f'more {one}')}: see them with -n {count}, or with --json"
