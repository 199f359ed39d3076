"""The blocks that sections of a report consist of, so that the HTML page and the Markdown text say the same."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

EN_DASH, MINUS, TIMES = "\N{EN DASH}", "\N{MINUS SIGN}", "\N{MULTIPLICATION SIGN}"


class Number(str):
    """A formatted number, which is aligned like one."""


Cell = str | int | float | None


@dataclass(frozen=True, slots=True)
class Paragraph:
    kind: ClassVar = "paragraph"
    text: str


@dataclass(frozen=True, slots=True)
class Footnote:
    """How the figures above it were measured: k, T, split, counts, encoder, seed."""

    kind: ClassVar = "footnote"
    parts: Sequence[str]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of figures."""

    kind: ClassVar = "table"
    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    summary: str | None = None  # the page folds the table away behind this line: a graphic shows the same figures
    bars: bool = False  # the page draws the numbers of the last column as bars too
    longest: float | None = None  # the number whose bar is the longest; None: the largest

    def is_number(self, column: int) -> bool:
        """Whether a column holds numbers, which are aligned to the right."""
        return any(isinstance(row[column], (int, float, Number)) for row in self.rows)

    def bar(self, row: Sequence[Cell]) -> float:
        """Give the length of a row's bar, from 0 to 1."""
        longest = self.longest or max(float(row[-1] or 0) for row in self.rows)
        return float(row[-1] or 0) / longest


@dataclass(frozen=True, slots=True)
class Graphic:
    """Pictures or a chart, for the page only: a template of this room and its values."""

    kind: ClassVar = "graphic"
    template: str
    values: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Columns:
    """Blocks side by side; one below the other on a narrow screen and in Markdown."""

    kind: ClassVar = "columns"
    left: Sequence["Block"]
    right: Sequence["Block"]


Block = Paragraph | Footnote | Table | Graphic | Columns


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report under a heading."""

    name: str  # its anchor in the page
    title: str
    blocks: Sequence[Block]


def percent(share: float | None) -> Number:
    """Write a share as a number of percent, an unknown one as a dash."""
    return Number(EN_DASH if share is None else f"{100 * share:.1f}")


def interval(ends: tuple[float, float]) -> Number:
    """Write an interval of shares in percent."""
    return Number(f"{percent(ends[0])}{EN_DASH}{percent(ends[1])}")


def plus_minus(half: float) -> Number:
    """Write half the width of an interval of shares in percent."""
    return Number(f"± {percent(half)}")


def cell_text(cell: Cell) -> str:
    """Write a cell of a table."""
    match cell:
        case None:
            return EN_DASH
        case int():
            return f"{cell:,}"
        case float():
            return f"{cell:.4g}"
        case str():
            return cell
