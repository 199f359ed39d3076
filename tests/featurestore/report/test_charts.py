"""Charts: where ticks, lines and marks lie."""

import re

import numpy as np
import pytest

from featurestore.metrics.confusion import Confusion
from featurestore.report import confusion
from featurestore.report.charts import LEFT, TOP, Axis, Line, Plot, histogram, line_chart, mark


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ([0, 100], [0, 20, 40, 60, 80, 100]),
        ([61.3, 88.2], [60, 70, 80, 90]),
        ([0.0012, 0.0047], [0.001, 0.002, 0.003, 0.004, 0.005]),
        ([-3, 4], [-4, -2, 0, 2, 4]),
        ([7, 7], [6, 8]),
        ([0, 0], [0, 0.2]),
    ],
)
def test_ticks_are_round_numbers_around_all_values(values: list[float], ticks: list[float]) -> None:
    axis = Axis.over("y", values)
    assert axis.low <= min(values) <= max(values) <= axis.high
    assert list(axis.ticks) == pytest.approx(ticks)


def test_an_axis_of_ratios_has_equal_ratios_equally_far_apart() -> None:
    axis = Axis.through("labels", [1, 10, 100, 10], logarithmic=True)
    assert [axis.share(v) for v in axis.ticks] == pytest.approx([0, 0.5, 1])


def test_a_line_goes_through_its_points_and_whiskers_span_their_intervals() -> None:
    line = Line("a", [(0, 0, 0), (10, 100, 0), (5, 50, 20)])
    plot = Plot(Axis.over("x", [0, 10]), Axis.over("y", [0, 100]))
    drawn = line_chart([line], plot, "words")
    [points] = re.findall(r'<polyline points="([^"]*)"', drawn)
    found = [tuple(map(float, point.split(","))) for point in points.split()]
    bottom, right = plot.bottom, plot.right
    middle = (LEFT + (right - LEFT) / 2, bottom - (bottom - TOP) / 2)
    assert found == [(LEFT, bottom), (right, TOP), middle]
    [(low, high)] = re.findall(r'class="whisker" d="M[\d.]+ ([\d.]+)V([\d.]+)', drawn)
    assert float(low) - float(high) == pytest.approx(0.4 * (bottom - TOP), abs=0.2)


def test_lines_with_the_same_x_stand_beside_each_other() -> None:
    lines = [Line(name, [(1, 5, 1), (2, 6, 1)]) for name in "abc"]
    drawn = line_chart(lines, Plot(Axis.through("x", [1, 2]), Axis.over("y", [0, 10])), "words")
    starts = [float(points.split(",")[0]) for points in re.findall(r'points="([^"]*)"', drawn)]
    assert len(set(starts)) == 3


def test_bars_are_as_high_as_their_counts() -> None:
    plot = Plot(Axis.over("x", [0, 3]), Axis.over("images", [0, 10]))
    drawn = histogram([0, 5, 10], [0, 1, 2, 3], plot, "words")
    heights = [float(h) for h in re.findall(r'<rect[^>]*height="([\d.]+)"', drawn)]
    assert heights == pytest.approx([0, (plot.bottom - TOP) / 2, plot.bottom - TOP], abs=0.1)


def test_words_of_charts_are_text() -> None:
    drawn = line_chart([Line("a", [(0, 1, 0)])], Plot(Axis.over("<x>", [0]), Axis.over("<y>", [1])), '"><script>')
    assert not {"<x>", "<y>", "<script>"} & set(re.findall(r"<[^ ]*?>", drawn))


def test_marks_differ_in_shape() -> None:
    shapes = {
        mark(n, 5, 5, 3).replace("<", "").split(" ")[0] + re.sub(r"[\d. -]", "", mark(n, 5, 5, 3)) for n in range(4)
    }
    assert len(shapes) == 4
    assert mark(4, 5, 5, 3) == mark(0, 5, 5, 3)


def test_the_classes_with_most_mistakes_are_chosen_in_their_order(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = np.diag([9, 9, 9, 9])
    counts[3, 1], counts[0, 2] = 5, 1
    whole = Confusion(list("abcd"), counts.tolist())
    assert confusion.shown_classes(whole) == list("abcd")
    monkeypatch.setattr(confusion, "SHOWN", 2)
    assert confusion.shown_classes(whole) == ["b", "d"]
    assert confusion.arranged(whole, ["d", "b"]) == Confusion(["d", "b"], [[9, 5], [0, 9]])
