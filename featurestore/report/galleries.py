"""Sections of pictures: classes by their examples, and queries with their neighbours."""

from collections.abc import Sequence

from featurestore.evaluation.knn import KnnReport
from featurestore.rendering.html import text
from featurestore.report.blocks import (
    DASH,
    TIMES,
    Block,
    Cell,
    Drawn,
    Number,
    Origin,
    Section,
    Table,
    Words,
    count,
    percent,
)
from featurestore.report.figures import Classes, ClassExamples, Example, Figures, Item, Neighbour, Sheet
from featurestore.report.measures import of_classes
from featurestore.report.pictures import Pictures

FOLDERS = 2  # of a path that are shown before its name: whole paths are nobody else's business


def place(item: Item) -> str:
    """The end of an item's path, which says most of it."""
    return "/".join(item.path.split("/")[-1 - FOLDERS :])


def classes(report: Figures, figures: KnnReport, chosen: Classes) -> Section:
    """The best and the worst classes, with images that were named right and wrong."""
    words = (
        "The classes of highest and of lowest recall, with images drawn from those that are named right and from those that are not. "
        "Beside each mistake stand the nearest of the neighbours that voted; a cross marks labels other than its own."
    )
    blocks = [Words(words), *_ranked("Best", chosen.best), *_ranked("Worst", chosen.worst), of_classes(report, figures)]
    return Section("classes", "Best and worst classes", blocks)


def _ranked(title: str, part: Sequence[ClassExamples]) -> list[Block]:
    rows: list[list[Cell]] = [
        [e.figures.label, e.figures.n, _percent(e.figures.recall), _percent(e.figures.precision)] for e in part
    ]
    return [
        Drawn(lambda pictures: f"<h3>{title}</h3>" + "".join(_class(examples, pictures) for examples in part)),
        Table(("class", "images", "recall, %", "precision, %"), rows, behind=f"{title} classes as a table"),
    ]


def _percent(share: float | None) -> Number | None:
    return None if share is None else percent(share)


def _class(examples: ClassExamples, pictures: Pictures) -> str:
    figures = examples.figures
    told = [
        f"recall {_percent(figures.recall)} %",
        f"precision {_percent(figures.precision) or DASH} %",
        count(figures.n, "image"),
    ]
    right = "".join(_tile(example.item, pictures) for example in examples.right)
    wrong = "".join(_mistake(example, pictures) for example in examples.wrong)
    return (
        f'<article class="class"><h4>{text(figures.label)} <small>{", ".join(told)}</small></h4><div class="halves">'
        f'<div><h5>named right</h5>{f"""<div class="tiles">{right}</div>""" if right else "<p>none</p>"}</div>'
        f"<div><h5>named wrong</h5>{wrong or '<p>none</p>'}</div></div></article>"
    )


def _mistake(example: Example, pictures: Pictures) -> str:
    voters = "".join(_neighbour(neighbour, pictures, example.item.label) for neighbour in example.neighbours)
    asked = _tile(example.item, pictures, f"taken for {example.said}", "asked")
    return f'<div class="mistake">{asked}<div class="tiles small">{voters}</div></div>'


def neighbours(report: Figures, sheets: Sequence[Sheet]) -> Section:
    """Queries that were drawn, each with the images nearest to it."""
    labelled = any(sheet.query.label is not None for sheet in sheets)
    words = f"{count(len(sheets), 'image')} drawn at random, each followed by the images nearest to it, with their scores (cosine similarity)."
    if labelled:
        words += " A cross marks labels other than that of the image asked for."
    rows: list[list[Cell]] = [
        [place(sheet.query), sheet.query.label, f"{sum(_agrees(n, sheet.query.label) for n in sheet.neighbours)} of {len(sheet.neighbours)}"]
        for sheet in sheets
    ]  # fmt: skip
    heads = ("image", "label", "neighbours of the same label")
    table = [Table(heads, rows, behind="These figures as a table")] if labelled else []
    drawn = Drawn(lambda pictures: "".join(_sheet(sheet, pictures) for sheet in sheets))
    origin = Origin(
        [f"among {count(report.collection.vectors, 'image')}", report.encoder["name"], f"seed {report.seed}"]
    )
    return Section("neighbours", "Images and their neighbours", [Words(words), drawn, *table, origin])


def _sheet(sheet: Sheet, pictures: Pictures) -> str:
    found = "".join(_neighbour(neighbour, pictures, sheet.query.label) for neighbour in sheet.neighbours)
    asked = _tile(sheet.query, pictures, sheet.query.label or "", "asked")
    return f'<div class="sheet tiles">{asked}{found}</div>'


def _agrees(neighbour: Neighbour, label: str | None) -> bool:
    return label is not None and neighbour.item.label == label


def _neighbour(neighbour: Neighbour, pictures: Pictures, label: str | None) -> str:
    item = neighbour.item
    differs = label is not None and item.label is not None and item.label != label
    return _tile(item, pictures, item.label or "", "other" if differs else "", f"{neighbour.score:.2f}")


def _tile(item: Item, pictures: Pictures, caption: str = "", kind: str = "", score: str = "") -> str:
    """A picture with a line below it; `other` is for labels that are not the one asked for, `asked` for what they are compared with."""
    cross = f'<span class="cross" role="img" aria-label="another label:">{TIMES}</span> ' if kind == "other" else ""
    shown = f'<span class="score">{score}</span>' if score else ""
    words = (
        f'<figcaption>{cross}<span class="label">{text(caption)}</span>{shown}</figcaption>' if caption or score else ""
    )
    picture = f'<div class="picture">{pictures.show(item, item.label or "image")}</div>'
    return f'<figure class="tile {kind}" title="{text(place(item))}">{picture}{words}</figure>'
