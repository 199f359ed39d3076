"""Sections of pictures: the worst and best classes by examples, and queries with their nearest neighbours."""

from collections.abc import Sequence

from featurestore.evaluation.knn import KnnReport
from featurestore.metrics.confusion import ClassFigures
from featurestore.report.blocks import Block, Cell, Footnote, Graphic, Paragraph, Section, Table, percent
from featurestore.report.measures import class_footnote, class_table
from featurestore.report.values import Classes, ClassExamples, ReportValues, Sheet
from featurestore.system.text import counted


def classes(report: ReportValues, figures: KnnReport, chosen: Classes) -> Section:
    """Show the worst and the best classes, with correctly classified and misclassified images."""
    words = (
        "The classes of which the fewest and the most images are classified correctly, with examples drawn at random. Beside each misclassified "
        "image are its nearest neighbours, which voted; a cross marks a label that differs from the image's own."
    )
    blocks = [
        Paragraph(words), *_ranked("Weakest", chosen.worst), *_ranked("Strongest", chosen.best), class_footnote(report, figures),
    ]  # fmt: skip
    return Section("classes", "Weakest and strongest classes", blocks)


def _ranked(title: str, chosen: Sequence[ClassExamples]) -> list[Block]:
    if not chosen:
        return []
    return [
        Graphic("classes", {"title": title, "classes": chosen, "summary": _summary}),
        class_table([examples.figures for examples in chosen], f"{title} classes as a table"),
    ]


def _summary(figures: ClassFigures) -> str:
    right = f"{round((figures.recall or 0) * figures.n):,} of {counted(figures.n, 'image')} right"
    return f"{right}, precision {percent(figures.precision)} %"


def neighbours(report: ReportValues, sheets: Sequence[Sheet]) -> Section:
    """Show queries drawn at random, each with its nearest neighbours."""
    labelled = any(sheet.query.label is not None for sheet in sheets)
    words = f"{counted(len(sheets), 'image')} drawn at random, each followed by its nearest neighbours with their scores (cosine similarity)."
    if labelled:
        words += " A cross marks a label that differs from the first image's."
    rows: list[list[Cell]] = [
        [sheet.query.short_path, sheet.query.label, f"{_same_label(sheet)} of {len(sheet.neighbours)}"]
        for sheet in sheets
    ]
    table = Table(("image", "label", "neighbours with the same label"), rows, summary="The same as a table")
    collection = f"among {counted(report.collection.vectors, 'image')}"
    return Section("neighbours", "Nearest neighbours", [
        Paragraph(words), Graphic("neighbours", {"sheets": sheets}), *([table] if labelled else []),
        Footnote([collection, report.encoder["name"], f"seed {report.seed}"]),
    ])  # fmt: skip


def _same_label(sheet: Sheet) -> int:
    return sum(sheet.query.label is not None and found.item.label == sheet.query.label for found in sheet.neighbours)
