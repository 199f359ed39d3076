"""Rows as text in aligned columns."""

from collections.abc import Sequence
from typing import Any

from featurestore.system.text import printable


def columns(rows: Sequence[Sequence[Any]], heads: Sequence[str]) -> str:
    """Lay rows out as text in aligned columns, numbers to the right; what a terminal would obey is spelt out."""
    cells = [
        list(heads),
        *[
            [f"{c:.4f}" if isinstance(c, float) else "" if c is None else printable(str(c)) for c in row]
            for row in rows
        ],
    ]
    right = [bool(rows) and isinstance(rows[0][i], (int, float)) for i in range(len(heads))]
    widths = [max(len(row[i]) for row in cells) for i in range(len(heads))]
    lines = [
        "  ".join(c.rjust(w) if r else c.ljust(w) for c, w, r in zip(row, widths, right, strict=True)).rstrip()
        for row in cells
    ]
    return "\n".join(lines)
