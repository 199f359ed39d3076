"""The section of confusions: a heat map, the most frequent mistakes, and recall and precision of every class."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from featurestore.evaluation.knn import KnnReport
from featurestore.metrics.confusion import Confusion
from featurestore.report.blocks import Block, Cell, Columns, Graphic, Paragraph, Section, Table, percent
from featurestore.report.measures import class_footnote, class_table
from featurestore.report.values import ReportValues
from featurestore.system.text import counted

SHOWN = 30  # classes: more do not fit on a page
PAIRS = 12
BRIGHT = 0.55  # from this share on, numbers are light on a dark cell


def confusion(report: ReportValues, figures: KnnReport) -> Section:
    """Show which classes the neighbours confuse."""
    whole = figures.confusion
    shown = arranged(whole, report.class_order)
    totals = dict(zip(whole.labels, map(sum, whole.counts), strict=True))
    rows = [
        (truth, [_cell(n, totals[truth], truth, predicted) for n, predicted in zip(counts, shown.labels, strict=True)])
        for truth, counts in zip(shown.labels, shown.counts, strict=True)
    ]
    matrix: list[Block] = [Graphic("confusion", {"labels": shown.labels, "rows": rows})]
    mistakes = _mistakes(whole, totals)
    many = len(whole.labels) > SHOWN
    blocks: list[Block] = [
        *([*mistakes, Paragraph(_words(whole)), *matrix] if many else [Paragraph(_words(whole)), Columns(matrix, mistakes)]),
        class_table(figures.classes, "Recall and precision of every class"),
        class_footnote(report, figures),
    ]  # fmt: skip
    return Section("confusion", "Which classes are confused", blocks)


def _words(whole: Confusion) -> str:
    words = (
        "Each row shows how the images of one class were classified, in percent of that class. Blue is correct, red is a mistake. "
        "Classes that look alike to the encoder stand beside each other."
    )
    if len(whole.labels) > SHOWN:
        words += f" The matrix shows the {SHOWN} of {len(whole.labels):,} classes with the most mistakes, without confusions with the other classes."
    return words


def _mistakes(whole: Confusion, totals: dict[str, int]) -> list[Block]:
    """List the most frequent mistakes."""
    pairs = whole.pairs()
    if not pairs:
        return [Paragraph("No image was classified wrongly.")]
    rows: list[list[Cell]] = [
        [truth, predicted, f"{times:,} of {totals[truth]:,}", percent(times / totals[truth])]
        for times, truth, predicted in pairs[:PAIRS]
    ]
    rest = f" The {PAIRS} most frequent of {len(pairs):,} kinds of mistakes:" if len(pairs) > PAIRS else ""
    wrong = counted(sum(times for times, _, _ in pairs), "image")
    return [
        Paragraph(f"{wrong} of {sum(totals.values()):,} got another class.{rest}"),
        Table(("class", "taken for", "images", "share, %"), rows),
    ]


def shown_classes(matrix: Confusion) -> list[str]:
    """Choose the classes that the matrix shows: those with the most mistakes, as label or as prediction, in their old order."""
    counts = np.array(matrix.counts)
    wrong = counts.sum(axis=0) + counts.sum(axis=1) - 2 * np.diag(counts)
    return [matrix.labels[place] for place in np.sort(np.argsort(-wrong, kind="stable")[:SHOWN])]


def arranged(matrix: Confusion, labels: Sequence[str]) -> Confusion:
    """Give a part of the matrix, with its classes in a given order."""
    places = [matrix.labels.index(label) for label in labels]
    return Confusion(list(labels), np.array(matrix.counts)[np.ix_(places, places)].tolist())


@dataclass(frozen=True, slots=True)
class HeatCell:
    """A cell of the heat map."""

    kind: str  # CSS classes
    share: float  # of the row
    title: str
    text: str


def _cell(times: int, total: int, truth: str, predicted: str) -> HeatCell:
    share = times / total if total else 0.0
    kind = ("right" if truth == predicted else "wrong") + (" bright" if share >= BRIGHT else "")
    outcome = "are classified correctly" if truth == predicted else f"are classified as {predicted}"
    text = "" if not times else f"{100 * share:.0f}" if share >= 0.005 else "·"
    return HeatCell(kind, share, f"{times:,} of {total:,} of {truth} {outcome}", text)
