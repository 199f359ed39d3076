"""Tables as text with aligned columns."""

from collections.abc import Sequence
from typing import Any

from featurestore.system.text import printable, shortened

LONGEST_CELL = 1_000  # characters: every line of a table is as long as its longest


def format_table(rows: Sequence[Sequence[Any]], heads: Sequence[str]) -> list[str]:
    """Format rows under their headings as lines; columns of numbers are aligned to the right, unsafe characters are spelled out."""
    cells = [list(map(_text, row)) for row in (heads, *rows)]
    is_number = [bool(rows) and isinstance(value, (int, float)) for value in (rows[0] if rows else heads)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = [
        "  ".join(c.rjust(w) if n else c.ljust(w) for c, w, n in zip(row, widths, is_number, strict=True))
        for row in cells
    ]
    return [line.rstrip() for line in lines]


def _text(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:.4f}" if isinstance(value, float) else shortened(printable(str(value)), LONGEST_CELL)
