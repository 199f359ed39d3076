"""What sections of a report are made of, so that a page and a text say the same."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from featurestore.report.pictures import Pictures

DASH, MINUS, TIMES = "\N{EN DASH}", "\N{MINUS SIGN}", "\N{MULTIPLICATION SIGN}"


class Number(str):
    """A number that is written out already, and stands where numbers stand."""


Cell = str | int | float | None


@dataclass(frozen=True, slots=True)
class Words:
    """A paragraph."""

    text: str


@dataclass(frozen=True, slots=True)
class Origin:
    """How the figures around it were taken: k, T, split, counts, encoder, seed."""

    parts: Sequence[str]


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of figures."""

    heads: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    behind: str | None = None  # what to call it where it stands behind a chart that shows the same
    bars: bool = False  # whether the numbers of the last column are drawn as well


@dataclass(frozen=True, slots=True)
class Drawn:
    """What only a page can show: HTML, made of the pictures of the report."""

    draw: Callable[[Pictures], str]


@dataclass(frozen=True, slots=True)
class Beside:
    """Blocks in two columns where there is room for them, one below the other where there is not."""

    left: Sequence["Block"]
    right: Sequence["Block"]


Block = Words | Origin | Table | Drawn | Beside


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the report under a heading."""

    name: str  # within the page's address
    title: str
    blocks: Sequence[Block]


def percent(share: float) -> Number:
    """A share as a number of percent."""
    return Number(f"{100 * share:.1f}")


def span(interval: tuple[float, float]) -> Number:
    """An interval of shares, in percent."""
    return Number(f"{percent(interval[0])}{DASH}{percent(interval[1])}")


def give_or_take(half: float) -> Number:
    """Half the width of an interval of shares, in percent."""
    return Number(f"± {percent(half)}")


def count(n: int, one: str, more: str | None = None) -> str:
    """A number of things, in words."""
    return f"{n:,} {one if n == 1 else more or one + 's'}"


def written(cell: Cell) -> str:
    """A cell of a table as text."""
    match cell:
        case None:
            return DASH
        case int():
            return f"{cell:,}"
        case float():
            return f"{cell:.4g}"
        case str():
            return cell
