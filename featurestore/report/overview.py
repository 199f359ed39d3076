"""The section of the collection: counts, some images, labels, image sizes and failures."""

from featurestore.report.blocks import TIMES, Block, Cell, Columns, Graphic, Paragraph, Section, Table
from featurestore.report.charts import Axis, Plot, histogram
from featurestore.report.values import Collection, ReportValues, Sizes
from featurestore.system.text import counted

LABELS, REASONS = 20, 8  # rows shown at most
WORTH_BARS = 10  # images of the largest class: below that, bars say no more than the numbers
WORTH_HISTOGRAM = 20  # images


def collection(report: ReportValues) -> Section:
    """Show the collection at a glance."""
    held = report.collection
    ranked = sorted(held.labels.items(), key=lambda entry: -entry[1])
    equal = len({n for _, n in ranked}) == 1
    blocks: list[Block] = [
        Paragraph(_counts(held, report.encoder["name"])),
        Graphic("mosaic", {"items": held.mosaic}),
        *([_equal_classes(ranked)] if equal else []),
        Columns([] if equal else _labels(ranked), _image_sizes(held.sizes)),
    ]
    if held.failures:
        reasons: list[list[Cell]] = [[reason, n] for reason, n in held.reasons.items()]
        blocks.append(Paragraph(f"{counted(held.failures, 'file')} could not be read as an image."))
        blocks.append(Table(("reason", "files"), reasons[:REASONS]))
    return Section("collection", "The collection", blocks)


def _equal_classes(ranked: list[tuple[str, int]]) -> Paragraph:
    names = ", ".join(label for label, _ in ranked[:LABELS]) + (" and others" if len(ranked) > LABELS else "")
    return Paragraph(f"{counted(len(ranked), 'class', 'classes')} of {counted(ranked[0][1], 'image')} each: {names}.")


def _labels(ranked: list[tuple[str, int]]) -> list[Block]:
    if not ranked:
        return []
    blocks: list[Block] = [Table(("label", "images"), ranked[:LABELS], bars=ranked[0][1] >= WORTH_BARS)]
    if len(ranked) > LABELS:
        smallest = counted(ranked[-1][1], "image")
        blocks.append(Paragraph(f"The {LABELS} largest of {len(ranked):,} classes; the smallest has {smallest}."))
    return blocks


def _image_sizes(sizes: Sizes | None) -> list[Block]:
    if sizes is None:
        return []
    blocks: list[Block] = [Paragraph(_extent(sizes))]
    if len([n for n in sizes.counts if n]) > 1 and sum(sizes.counts) >= WORTH_HISTOGRAM:
        x = Axis.over("longer side, pixels", sizes.edges, "{:,.0f}".format)
        y = Axis.over("images", [0, max(sizes.counts)], "{:,.0f}".format)
        alt = f"Histogram of the longer sides of the images, from {sizes.edges[0]:.0f} to {sizes.edges[-1]:.0f} pixels, median {sizes.median}"
        chart = histogram(sizes.counts, sizes.edges, Plot(x, y), alt)
        blocks.append(Graphic("plot", {"chart": chart, "legend": ()}))
    return blocks


def _counts(held: Collection, encoder: str) -> str:
    splits = ", ".join(f"{n:,} {name}" for name, n in held.splits.items() if name != "(none)")
    labels = (
        f"{held.labelled:,} labelled, {counted(len(held.labels), 'class', 'classes')}" if held.labelled else "no labels"
    )
    parts = [f"{counted(held.items, 'image')}, {labels}", f"splits: {splits or 'none'}"]
    if held.vectors != held.items:
        parts.append(f"{held.vectors:,} have a vector of {encoder}, and only these are measured below")
    if held.removed:
        parts.append(f"{held.removed:,} more are no longer in their source")
    return "; ".join(parts) + "."


def _extent(sizes: Sizes) -> str:
    (width, height), (wide, high) = sizes.smallest, sizes.largest
    if sizes.smallest == sizes.largest and len(set(sizes.counts) - {0}) == 1:
        return f"All images are {width:,} {TIMES} {height:,} pixels."
    return f"Image sizes: from {width:,} {TIMES} {height:,} to {wide:,} {TIMES} {high:,} pixels; the longer side has a median of {sizes.median:,}."
