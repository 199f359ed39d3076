"""Charts as SVG: their colours follow the page, light or dark, and their text can be selected and searched."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from markupsafe import Markup

from featurestore.rendering.html import text

LARGE, SMALL = (520, 300), (340, 200)  # width and height
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 14, 48  # margins around the plot
COLOURS = 10  # .c0 to .c9 in report.css
SHAPES = 4
DODGE = 5.0  # units between points with the same x, so that no whisker hides another
TICKS = 5
MARKED = 24  # a line with more points has no markers
SPARE = 24  # units at both ends of a logarithmic axis, so that no marker lies on the frame


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart."""

    name: str
    points: Sequence[tuple[float, float, float]]  # x, y, half the width of the interval around y (0: unknown)


@dataclass(frozen=True, slots=True)
class Axis:
    """An axis of a chart: its range, its ticks and how their values are written."""

    name: str
    ticks: Sequence[float]
    low: float
    high: float
    write: Callable[[float], str]
    logarithmic: bool = False

    def share(self, value: float) -> float:
        """Give the position of a value along the axis, from 0 to 1."""
        if self.low == self.high:
            return 0.5
        ends = (self.low, value, self.high)
        low, at, high = map(math.log, ends) if self.logarithmic else ends
        return (at - low) / (high - low)

    @classmethod
    def through(cls, name: str, values: Sequence[float], logarithmic: bool = False) -> "Axis":
        """Make an axis with a tick at each of a few values."""
        return cls(name, sorted(set(values)), min(values), max(values), lambda v: f"{v:g}", logarithmic)

    @classmethod
    def over(cls, name: str, values: Sequence[float], write: Callable[[float], str] = "{:g}".format) -> "Axis":
        """Make an axis over the range of values, with ticks at round numbers."""
        low, high = min(values), max(values)
        step = _round_step((high - low) or abs(high) or 1.0)
        first, last = math.floor(low / step), math.ceil(high / step)
        last += first == last
        ticks = [round(n * step, 12) for n in range(first, last + 1)]
        return cls(name, ticks, ticks[0], ticks[-1], write)


def _round_step(span: float) -> float:
    """Find the step, 1, 2 or 5 times a power of ten, that divides a range into at most TICKS parts."""
    power = 10.0 ** math.floor(math.log10(span / TICKS))
    return next(power * n for n in (1, 2, 5, 10) if span / (power * n) <= TICKS)


@dataclass(frozen=True, slots=True)
class Plot:
    """The area between two axes."""

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
        """Give the position of a pair of values in the picture."""
        spare = SPARE if self.x.logarithmic else 0
        return (
            LEFT + spare + self.x.share(x) * (self.right - LEFT - 2 * spare),
            self.bottom - self.y.share(y) * (self.bottom - TOP),
        )

    def picture(self, inside: str, alt: str) -> Markup:
        """Draw the frame with its ticks around SVG elements; `alt` describes the chart for screen readers."""
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
        return svg(f"0 0 {self.size[0]} {self.size[1]}", "".join(parts) + "</g>" + inside, "chart", alt)


def line_chart(lines: Sequence[Line], plot: Plot, alt: str) -> Markup:
    """Draw lines with markers, and whiskers where an interval is known."""
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


def histogram(counts: Sequence[int], edges: Sequence[float], plot: Plot, alt: str) -> Markup:
    """Draw a bar for each count, between its two edges: one edge more than counts."""
    bars = []
    for n, low, high in zip(counts, edges, edges[1:], strict=False):
        (left, top), (right, bottom) = plot.at(low, n), plot.at(high, 0)
        bars.append(
            f'<rect class="c0" x="{left + 0.5:.1f}" y="{top:.1f}" width="{max(right - left - 1, 0.5):.1f}" height="{bottom - top:.1f}"/>'
        )
    return plot.picture("".join(bars), alt)


def mark(shape: int, x: float, y: float, r: float, attributes: str = "", inside: str = "") -> str:
    """Draw a marker around a point: circle, square, triangle or diamond."""
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


def colour_class(colour: int | None) -> str:
    """Give the CSS class of a colour; None is grey."""
    return "none" if colour is None else f"c{colour % COLOURS}"


def swatch(colour: int | None, shape: int | None = None, r: float = 4) -> Markup:
    """Draw the mark of a legend: on a piece of its line, or alone with the shape given; a colour of None is grey."""
    if shape is None:
        inside, view_box = f'<line x1="-10" x2="10"/>{mark(colour or 0, 0, 0, r)}', "-10 -6 20 12"
    else:
        inside, view_box = mark(shape, 0, 0, r), "-6 -6 12 12"
    return svg(view_box, inside, f"swatch {colour_class(colour)}")


def svg(view_box: str, inside: str, kind: str, alt: str | None = None) -> Markup:
    """Make an SVG picture, with a description for screen readers unless it is an ornament; the one place where markup is trusted."""
    words = 'aria-hidden="true"' if alt is None else f'role="img" aria-label="{text(alt)}"'
    return Markup(f'<svg class="{kind}" viewBox="{view_box}" {words}>{inside}</svg>')
