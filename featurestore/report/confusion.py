"""The section of the confusion matrix: a heat map, the most frequent mistakes, and recall and precision of every class."""

from dataclasses import dataclass

import numpy as np

from featurestore.evaluation.knn import KnnReport
from featurestore.metrics.confusion import Confusion
from featurestore.report.blocks import Block, Cell, Columns, Graphic, Paragraph, Section, Table
from featurestore.report.measures import class_footnote, class_table
from featurestore.report.values import ReportValues

SHOWN = 20  # classes: more do not fit on a page
PAIRS = 10
BRIGHT = 0.55  # from this share on, numbers are light on a dark cell


def confusion(report: ReportValues, figures: KnnReport) -> Section:
    """Show which classes the neighbours confuse."""
    whole = figures.confusion
    shown = most_confused(whole, SHOWN)
    words = (
        "Each row shows how the images of one class were classified, in percent of that class. The diagonal, in blue, is correct; "
        "mistakes are red, and the more frequent they are, the stronger the red."
    )
    if len(whole.labels) > SHOWN:
        words += f" The matrix shows the {SHOWN} of {len(whole.labels):,} classes with the most mistakes, without confusions with the other classes."
    pairs: list[list[Cell]] = [[truth, predicted, times] for times, truth, predicted in whole.pairs()[:PAIRS]]
    mistakes: list[Block] = [
        Paragraph("The most frequent mistakes:"),
        Table(("label", "predicted", "times"), pairs, bars=True),
    ]
    totals = dict(zip(whole.labels, map(sum, whole.counts), strict=True))
    rows = [
        (truth, [_cell(n, totals[truth], truth, predicted) for n, predicted in zip(counts, shown.labels, strict=True)])
        for truth, counts in zip(shown.labels, shown.counts, strict=True)
    ]
    blocks: list[Block] = [
        Paragraph(words),
        Columns([Graphic("confusion", {"labels": shown.labels, "rows": rows})], mistakes if pairs else []),
        class_table(figures.classes, "Recall and precision of every class"),
        class_footnote(report, figures),
    ]
    return Section("confusion", "Confusion matrix", blocks)


def most_confused(matrix: Confusion, most: int) -> Confusion:
    """Choose the classes with the most mistakes, as label or as prediction, in their old order."""
    counts = np.array(matrix.counts)
    wrong = counts.sum(axis=0) + counts.sum(axis=1) - 2 * np.diag(counts)
    chosen = np.sort(np.argsort(-wrong, kind="stable")[:most])
    return Confusion([matrix.labels[i] for i in chosen], counts[np.ix_(chosen, chosen)].tolist())


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
