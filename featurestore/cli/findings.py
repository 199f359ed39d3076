"""Options and output that the commands share which look for something in a collection."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Any, TypeVar

import click

from featurestore.cli.options import PATH, encoder_option, json_option
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


@dataclass(frozen=True, slots=True)
class Output:
    """What becomes of a report, as the options of its command say."""

    as_json: bool
    html: Path | None
    sheet: Path | None
    column: bool  # its columns are written into the store
    limit: int | None  # entries that are listed at most; None: the usual number

    def open_store(self, store: Path, command: str) -> Storage:
        """Open a store. Columns of somebody else that the command would write stop it here, before its work."""
        opened = Storage.open(store)
        if self.column:
            check_columns(opened, command)
        return opened

    @property
    def wanted(self) -> int | None:
        """How many entries a report must have at most: for a text few suffice, for pictures as many as are shown, and JSON has all."""
        if self.limit is not None or self.as_json:
            return self.limit
        return SHOWN if self.html is None and self.sheet is None else PAGE.pictures

    def draw(self, report: Findings) -> None:
        """Write the page and the contact sheet of a report, where they are wanted."""
        if self.html is not None:
            report.html(self.html)
        if self.sheet is not None:
            report.sheet(self.sheet)

    def show(
        self, store: Storage, report: Found, lines: Callable[[Found], Iterable[str]], limit: int | None = None
    ) -> None:
        """Draw a report and write its columns, where that is wanted, and print it: its summary, then `lines`, which list its entries.

        limit: entries that are listed of a report whose command has no option for it.
        """
        self.draw(report)
        if self.column:
            names = keep_columns(store, report)
            print_line(f"written into {store.path}: column {', '.join(names)}", err=True)
        print_result(report.to_json(), text(report, lines, self.limit if limit is None else limit), self.as_json)


def report_options(column: str | None = None) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add the options that commands with a report share, as the argument `output`; column: what `--column` writes, None is nothing."""
    options = [
        click.option("--html", type=PATH, metavar="FILE.html", help="Also write an HTML page of what is found, with its pictures."),
        click.option("--sheet", type=PATH, metavar="FILE.png", help="Also draw what is found as a contact sheet."),
        encoder_option,
        json_option,
    ]  # fmt: skip
    if column is not None:
        written = f"Also write the column {column} into STORE, for --where and sql."
        options.insert(0, click.option("--column", is_flag=True, help=written))

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        @wraps(command)
        def with_output(
            *,
            as_json: bool,
            html: Path | None,
            sheet: Path | None,
            column: bool = False,
            limit: int | None = None,
            **others: Any,
        ) -> None:
            command(output=Output(as_json, html, sheet, column, limit), **others)

        decorated: Callable[..., None] = with_output
        for option in reversed(options):
            decorated = option(decorated)
        return decorated

    return decorate


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
