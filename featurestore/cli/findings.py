"""Options and output that the commands share which look for something in a collection."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import click

from featurestore.cli.options import PATH
from featurestore.curation.findings import Findings, check_columns, keep_columns
from featurestore.rendering.galleries import PAGE
from featurestore.storage import Storage
from featurestore.system.terminal import print_line, print_result
from featurestore.system.text import counted

SHOWN = 20

Found = TypeVar("Found", bound=Findings)


def limit_option(what: str) -> Callable[..., Any]:
    """Make the option that says how many are listed; what: their name in the plural."""
    return click.option("-n", "--limit", type=click.IntRange(min=0), metavar="N", help=f"List at most N {what}.  [default: {SHOWN}; with --json all]")  # fmt: skip


def column_option(names: str) -> Callable[..., Any]:
    """Make the option that writes columns; names: of the columns."""
    return click.option(
        "--column", is_flag=True, help=f"Also write the column {names} into STORE, for --where and sql."
    )


def picture_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options that draw what is listed."""
    sheet = click.option("--sheet", type=PATH, metavar="FILE.png", help="Also draw what is found as a contact sheet.")
    html = click.option("--html", type=PATH, metavar="FILE.html", help="Also write an HTML page of what is found, with its pictures.")  # fmt: skip
    return html(sheet(command))


def open_store(store: Path, command: str, column: bool) -> Storage:
    """Open a store; column: the command will write its columns, and those of somebody else stop it before its work, not after."""
    found = Storage.open(store)
    if column:
        check_columns(found, command)
    return found


def wanted(limit: int | None, as_json: bool, html: Path | None, sheet: Path | None) -> int | None:
    """Say how many entries a report must have at most: for a text few suffice, for pictures as many as are shown, and JSON has all."""
    if limit is not None or as_json:
        return limit
    return SHOWN if html is None and sheet is None else PAGE.pictures


def draw(report: Findings, html: Path | None, sheet: Path | None) -> None:
    """Write the page and the contact sheet of a report, where they are wanted."""
    if html is not None:
        report.html(html)
    if sheet is not None:
        report.sheet(sheet)


def show(
    store: Storage,
    report: Found,
    lines: Callable[[Found], Iterable[str]],
    as_json: bool,
    limit: int | None = None,
    column: bool = False,
    html: Path | None = None,
    sheet: Path | None = None,
) -> None:
    """Print a report: its summary, then `lines`, which list its entries; write its columns into the store, a page and a sheet where wanted."""
    draw(report, html, sheet)
    if column:
        names = keep_columns(store, report)
        print_line(f"written into {store.path}: column {', '.join(names)}", err=True)
    print_result(report.to_json(), text(report, lines, limit), as_json)


def text(report: Found, lines: Callable[[Found], Iterable[str]], limit: int | None) -> Iterator[str]:
    """Give the lines of a report, in which the first entries are listed."""
    shown = report.first(SHOWN if limit is None else limit)
    yield from shown.summary
    yield from lines(shown)


def more(count: int, shown: int, one: str) -> Iterator[str]:
    """Say how many more there are than are shown; one: the name of one."""
    if count > shown:
        yield ""
        yield f"{counted(count - shown, f'more {one}')}: see them with -n {count}, or with --json"
