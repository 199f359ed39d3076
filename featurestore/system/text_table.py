"""Tables as text with aligned columns."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from featurestore.system.text import printable, shortened

LONGEST_CELL = 1_000  # characters: every line of a table is as long as its longest

Rows = Sequence[Sequence[Any]]


def format_table(rows: Rows, heads: Sequence[str]) -> list[str]:
    """Format rows under their headings as lines; columns of numbers are aligned to the right, unsafe characters are spelled out."""
    return list(table_lines(lambda: [rows], heads))


def table_lines(pieces: Callable[[], Iterable[Rows]], heads: Sequence[str]) -> Iterator[str]:
    """Give the lines of such a table, whose rows are made piece by piece: once to measure them, and once to write them."""
    widths, is_number = [len(_text(head)) for head in heads], None
    for rows in pieces():
        if is_number is None and rows:
            is_number = [isinstance(value, (int, float)) for value in rows[0]]
        columns = zip(*(map(len, map(_text, row)) for row in rows), strict=True)
        widths = [max(width, *column) for width, column in zip(widths, columns, strict=True)] if rows else widths
    is_number = is_number or [False] * len(heads)
    yield _line(heads, widths, is_number)
    for rows in pieces():
        yield from (_line(row, widths, is_number) for row in rows)


def _line(row: Sequence[Any], widths: Sequence[int], is_number: Sequence[bool]) -> str:
    cells = zip(map(_text, row), widths, is_number, strict=True)
    return "  ".join(cell.rjust(width) if number else cell.ljust(width) for cell, width, number in cells).rstrip()


def _text(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" if isinstance(value, float) else shortened(printable(str(value)), LONGEST_CELL)
