"""Sections of what was found in a collection: clusters, outliers, labels that are probably wrong, copies, and what the labels cover."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from featurestore.curation import (
    ClustersReport,
    CoverageReport,
    DuplicatesReport,
    Findings,
    LabelErrorsReport,
    LeaksReport,
    OutliersReport,
)
from featurestore.curation.label_errors import Evidence
from featurestore.report.blocks import Block, Cell, Footnote, Graphic, Number, Paragraph, Section, Table, percent
from featurestore.report.values import Item, ReportValues
from featurestore.system.text import counted

EACH = 6  # pictures of a group of copies
NAMED = 40  # classes of the table of coverage


@dataclass(frozen=True, slots=True)
class Tile:
    """An item with what is said of it."""

    item: Item
    title: str
    note: str = ""
    marked: bool = False  # what the others beside it are compared with


@dataclass(frozen=True, slots=True)
class Group:
    """Tiles that belong together."""

    title: str
    tiles: Sequence[Tile]


def shown_items(report: ReportValues) -> Iterator[Item]:
    """Give the items whose pictures these sections show."""
    groups = [
        *(_clusters(report.clusters) if report.clusters else ()),
        *(_outliers(report.outliers) if report.outliers else ()),
        *(_suspects(report.label_errors) if report.label_errors else ()),
        *(_duplicates(report.duplicates) if report.duplicates else ()),
        *(_leaks(report.leaks) if report.leaks else ()),
        *(_farthest(report.coverage) if report.coverage else ()),
    ]
    yield from (tile.item for group in groups for tile in group.tiles)


def clusters(report: ReportValues, found: ClustersReport) -> Section:
    """Show the largest clusters by their most typical images."""
    rows: list[list[Cell]] = [
        [Number(cluster.number), cluster.size, cluster.words or None, cluster.items[0].path.rpartition("/")[2]]
        for cluster in found.clusters
    ]
    held = report.collection.vectors
    share = sum(cluster.size for cluster in found.clusters) / held
    words = (
        f"Groups of images that look alike to the encoder, by k-means: {counted(len(found.clusters), 'group')}, the largest first, with "
        f"{percent(share)} % of the images. Each is shown by the image that is nearest to its centre."
    )
    return Section("clusters", "Groups that look alike", [
        Paragraph(words), *_graphic(_clusters(found)),
        Table(("group", "images", "labels", "most typical"), rows, summary="The same as a table"), _footnote(report, found, "k-means"),
    ])  # fmt: skip


def outliers(report: ReportValues, found: OutliersReport) -> Section:
    """Show the oddest items with their reasons."""
    rows: list[list[Cell]] = [
        [Number(f"{item.score:.2f}"), item.label, ", ".join(item.reasons), Item(item.id, item.path, None).short_path]
        for item in found.items
        if item.reasons
    ]  # fmt: skip
    return Section("outliers", "Images that do not belong", [
        *_sentences(found), *_graphic(_outliers(found)),
        *([Table(("score", "label", "what is odd", "image"), rows, summary="The same as a table")] if rows else []), _footnote(report, found, "outliers"),
    ])  # fmt: skip


def label_errors(report: ReportValues, found: LabelErrorsReport) -> Section:
    """Show the items whose labels are most surely wrong, beside the nearest ones that have labels."""
    rows: list[list[Cell]] = [
        [Item(s.id, s.path, None).short_path, s.label, s.suggested, Number(f"{s.probability:.2f}")] for s in found.suspects
    ]  # fmt: skip
    table = Table(("image", "label", "or", "wrong with probability"), rows, summary="The same as a table")
    return Section("label-errors", "Labels that may be wrong", [
        *_sentences(found), *_graphic(_suspects(found)), *([table] if rows else []), _footnote(report, found, "label errors"),
    ])  # fmt: skip


def copies(report: ReportValues, found: DuplicatesReport, across: LeaksReport | None) -> Section:
    """Show groups of copies, and pairs across splits."""
    rows: list[list[Cell]] = [
        [group.kind, len(group.items), Item(group.keep.id, group.keep.path, None).short_path] for group in found.groups
    ]  # fmt: skip
    blocks = [*_sentences(found), *_graphic(_duplicates(found))]
    if rows:
        blocks.append(Table(("kind", "images", "keep"), rows, summary="The groups as a table"))
    if across is not None:
        blocks += [*_sentences(across), *_graphic(_leaks(across))]
    if across is not None and across.pairs:
        pairs: list[list[Cell]] = [
            [
                leak.kind,
                *(
                    f"{leak.splits[at]}: {Item(leak.ids[at], path, None).short_path}"
                    for at, path in enumerate((leak.a, leak.b))
                ),
            ]
            for leak in across.pairs
        ]
        blocks.append(Table(("kind", "in the earlier split", "again"), pairs, summary="The pairs as a table"))
    return Section("copies", COPIES, [*blocks, _footnote(report, found, "copies")])


COPIES = "Pictures that are there more than once"


def unknown_copies() -> Section:
    """Say how to look for copies, where nobody has."""
    words = "Copies were not looked for among the images as they are now: featurestore duplicates STORE. The next report shows what it finds."
    return Section("copies", COPIES, [Paragraph(words)])


def coverage(report: ReportValues, found: CoverageReport) -> Section:
    """Show which part of the unlabelled items the labelled ones cover, by class, and what is farthest."""
    ranked = sorted(found.classes, key=lambda entry: -entry.nearest)
    rows: list[list[Cell]] = [
        [entry.label, entry.labelled, entry.nearest, percent(entry.covered), None if entry.mean_score is None else Number(f"{entry.mean_score:.3f}")]
        for entry in ranked[:NAMED]
    ]  # fmt: skip
    blocks = [
        *_sentences(found),
        Table(("class", "labelled", "unlabelled, nearest to it", "covered, %", "mean similarity"), rows),
    ]
    if len(ranked) > NAMED:
        blocks.append(Paragraph(f"The {NAMED} of {len(ranked):,} classes that most images are nearest to."))
    return Section("coverage", "What the labels cover", [
        *blocks, Paragraph("The images that are farthest from any labelled one:"), *_graphic(_farthest(found)), _footnote(report, found, "coverage"),
    ])  # fmt: skip


def _sentences(found: Findings) -> list[Block]:
    return [Paragraph(f"{line[0].upper()}{line[1:]}.") for line in found.summary]


def _graphic(groups: Sequence[Group]) -> list[Block]:
    return [Graphic("findings", {"groups": groups})] if groups else []


def _footnote(report: ReportValues, found: Findings, what: str) -> Footnote:
    count = len(getattr(found, found.listed))
    return Footnote([what, f"the first {count:,}", report.encoder["name"], f"seed {report.seed}"])


def _clusters(found: ClustersReport) -> list[Group]:
    return [
        Group("", [
            Tile(Item(cluster.items[0].id, cluster.items[0].path, cluster.items[0].label), counted(cluster.size, "image"), cluster.words)
            for cluster in found.clusters
        ])
    ]  # fmt: skip


def _outliers(found: OutliersReport) -> list[Group]:
    tiles = [
        Tile(Item(item.id, item.path, item.label), f"score {item.score:.2f}", ", ".join(item.reasons)) for item in found.items if item.reasons
    ]  # fmt: skip
    return [Group("", tiles)] if tiles else []


def _suspects(found: LabelErrorsReport) -> list[Group]:
    def beside(evidence: Evidence | None, label: str) -> list[Tile]:
        return [] if evidence is None else [Tile(Item(evidence.id, evidence.path, label), f"nearest {label}")]

    return [
        Group(
            f"{s.label}, or {s.suggested}?",
            [
                Tile(Item(s.id, s.path, s.label), f"labelled {s.label}", f"wrong: {s.probability:.2f}", marked=True),
                *beside(s.nearest_suggested, s.suggested), *beside(s.nearest_same, s.label),
            ],
        )
        for s in found.suspects
    ]  # fmt: skip


def _duplicates(found: DuplicatesReport) -> list[Group]:
    groups = []
    for group in found.groups:
        more = len(group.items) - EACH
        rest = f", {more:,} more not shown" if more > 0 else ""
        groups.append(Group(f"{group.kind}, {counted(len(group.items), 'image')}{rest}", [
            Tile(
                Item(item.id, item.path, item.label), "keep" if item is group.keep else f"score {item.score:.3f}",
                ", ".join(filter(None, (item.split, item.label))), item is group.keep,
            )
            for item in group.items[:EACH]
        ]))  # fmt: skip
    return groups


def _leaks(found: LeaksReport) -> list[Group]:
    return [
        Group(f"{leak.kind}, score {leak.score:.3f}", [
            Tile(Item(item, path, label), split, label or "", marked=at == 0)
            for at, (item, path, split, label) in enumerate(zip(leak.ids, (leak.a, leak.b), leak.splits, leak.labels, strict=True))
        ])
        for leak in found.pairs
    ]  # fmt: skip


def _farthest(found: CoverageReport) -> list[Group]:
    tiles = [
        Tile(Item(far.id, far.path, None), f"score {far.score:.3f}", f"nearest: {far.label}") for far in found.items
    ]
    return [Group("", tiles)] if tiles else []
