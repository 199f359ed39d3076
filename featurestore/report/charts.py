"""Charts as SVG that is made by hand: their colours follow the page, light or dark, and their text stays text."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from featurestore.rendering.html import text

LARGE, SMALL = (520, 300), (340, 200)  # width and height
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 14, 48  # margins around the plot
COLOURS = 10  # that page.css tells apart, .c0 to .c9
SHAPES = 4
DODGE = 5.0  # units that lines with the same x stand apart, so that no whisker hides another
TICKS = 5
MARKED = 24  # points at most of a line that has markers
SPARE = 24  # units at both ends of an axis of a few values, so that no marker lies on the frame


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart."""

    name: str
    points: Sequence[tuple[float, float, float]]  # x, y, half-width of the interval around y (0: none is known)


@dataclass(frozen=True, slots=True)
class Axis:
    """A direction of a chart: which values it shows, and how they are written."""

    name: str
    ticks: Sequence[float]
    low: float
    high: float
    write: Callable[[float], str]
    logarithmic: bool = False

    def share(self, value: float) -> float:
        """How far along the axis a value lies, from 0 to 1."""
        if self.low == self.high:
            return 0.5
        ends = (self.low, value, self.high)
        low, at, high = map(math.log, ends) if self.logarithmic else ends
        return (at - low) / (high - low)

    @classmethod
    def through(cls, name: str, values: Sequence[float], logarithmic: bool = False) -> "Axis":
        """An axis with a tick at each of a few values."""
        return cls(name, sorted(set(values)), min(values), max(values), lambda v: f"{v:g}", logarithmic)

    @classmethod
    def over(cls, name: str, values: Sequence[float], write: Callable[[float], str] = "{:g}".format) -> "Axis":
        """An axis over the span of values, with ticks at round numbers."""
        low, high = min(values), max(values)
        step = _round_step((high - low) or abs(high) or 1.0)
        first, last = math.floor(low / step), math.ceil(high / step)
        last += first == last
        ticks = [round(n * step, 12) for n in range(first, last + 1)]
        return cls(name, ticks, ticks[0], ticks[-1], write)


def _round_step(span: float) -> float:
    """The round number, 1, 2 or 5 times a power of ten, that divides a span into about TICKS parts."""
    power = 10.0 ** math.floor(math.log10(span / TICKS))
    return next(power * n for n in (1, 2, 5, 10) if span / (power * n) <= TICKS)


@dataclass(frozen=True, slots=True)
class Plot:
    """The plane between two axes."""

    x: Axis
    y: Axis
    size: tuple[int, int] = LARGE

    @property
    def right(self) -> int:
        return self.size[0] - RIGHT

    @property
    def bottom(self) -> int:
        return self.size[1] - BOTTOM

    def at(self, x: float, y: float) -> tuple[float, float]:
        """Where on the picture a pair of values lies."""
        spare = SPARE if self.x.logarithmic else 0
        return (
            LEFT + spare + self.x.share(x) * (self.right - LEFT - 2 * spare),
            self.bottom - self.y.share(y) * (self.bottom - TOP),
        )

    def picture(self, inside: str, alt: str) -> str:
        """The frame with its ticks, what is drawn in it, and words for those who do not see it."""
        parts = ['<g class="frame">']
        for tick in self.y.ticks:
            _, y = self.at(self.x.low, tick)
            parts.append(f'<line x1="{LEFT}" x2="{self.right}" y1="{y:.1f}" y2="{y:.1f}"/>')
            parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{text(self.y.write(tick))}</text>')
        for tick in self.x.ticks:
            x, _ = self.at(tick, self.y.low)
            parts.append(
                f'<text x="{x:.1f}" y="{self.bottom + 18}" text-anchor="middle">{text(self.x.write(tick))}</text>'
            )
        middle, half = (LEFT + self.right) / 2, (TOP + self.bottom) / 2
        parts.append(f'<text x="{middle:.0f}" y="{self.size[1] - 6}" text-anchor="middle">{text(self.x.name)}</text>')
        if self.y.name:
            parts.append(
                f'<text x="12" y="{half:.0f}" transform="rotate(-90 12 {half:.0f})" text-anchor="middle">{text(self.y.name)}</text>'
            )
        return svg(*self.size, "".join(parts) + "</g>" + inside, alt)


def line_chart(lines: Sequence[Line], plot: Plot, alt: str) -> str:
    """Draw lines with markers, and whiskers where an interval is known; `alt` says in words what is seen."""
    return plot.picture("".join(_line(line, plot, n, len(lines)) for n, line in enumerate(lines)), alt)


def _line(line: Line, plot: Plot, number: int, of: int) -> str:
    aside = (number - (of - 1) / 2) * DODGE
    y = plot.y
    parts, path = [], []
    for x_value, value, half in line.points:
        at, level = plot.at(x_value, value)
        path.append(f"{at + aside:.1f},{level:.1f}")
        if half:
            ends = [plot.at(x_value, end)[1] for end in (max(y.low, value - half), min(y.high, value + half))]
            parts.append(_whisker(at + aside, *ends))
        if len(line.points) <= MARKED:
            parts.append(mark(number, at + aside, level, 4))
    return f'<g class="c{number % COLOURS}"><polyline points="{" ".join(path)}"/>{"".join(parts)}</g>'


def _whisker(x: float, low: float, high: float) -> str:
    ends = "".join(f"M{x - 3:.1f} {end:.1f}h6" for end in (low, high))
    return f'<path class="whisker" d="M{x:.1f} {low:.1f}V{high:.1f}{ends}"/>'


def histogram(counts: Sequence[int], edges: Sequence[float], plot: Plot, alt: str) -> str:
    """Draw how many values lie between each two of the edges, which are one more than the counts."""
    bars = []
    for n, low, high in zip(counts, edges, edges[1:], strict=False):
        (left, top), (right, bottom) = plot.at(low, n), plot.at(high, 0)
        bars.append(
            f'<rect class="c0" x="{left + 0.5:.1f}" y="{top:.1f}" width="{max(right - left - 1, 0.5):.1f}" height="{bottom - top:.1f}"/>'
        )
    return plot.picture("".join(bars), alt)


def legend(names: Sequence[str]) -> str:
    """Name the lines of a chart, each with its marker."""
    entries = [
        f'<li><svg class="swatch c{number % COLOURS}" viewBox="-10 -6 20 12" aria-hidden="true"><line x1="-10" x2="10"/>{mark(number, 0, 0, 4)}</svg>{text(name)}</li>'
        for number, name in enumerate(names)
    ]
    return f'<ul class="legend">{"".join(entries)}</ul>'


def mark(shape: int, x: float, y: float, r: float, attributes: str = "", inside: str = "") -> str:
    """Draw a marker around a place: circle, square, triangle or diamond, by turns."""
    match shape % SHAPES:
        case 0:
            return f'<circle{attributes} cx="{x:.1f}" cy="{y:.1f}" r="{r:g}">{inside}</circle>'
        case 1:
            path = f"M{x - r:.1f} {y - r:.1f}h{2 * r:g}v{2 * r:g}h{-2 * r:g}z"
        case 2:
            path = f"M{x:.1f} {y - 1.3 * r:.1f}l{1.3 * r:g} {2.3 * r:g}h{-2.6 * r:g}z"
        case _:
            a = 1.4 * r
            path = f"M{x:.1f} {y - a:.1f}l{a:g} {a:g}l{-a:g} {a:g}l{-a:g} {-a:g}z"
    return f'<path{attributes} d="{path}">{inside}</path>'


def svg(width: int, height: int, inside: str, alt: str, kind: str = "chart") -> str:
    """Make a picture of SVG parts that takes the width it is given, with words for those who do not see it."""
    return f'<svg class="{kind}" viewBox="0 0 {width} {height}" role="img" aria-label="{text(alt)}">{inside}</svg>'
