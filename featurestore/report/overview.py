"""The collection at a glance."""

from featurestore.report.blocks import TIMES, Beside, Block, Cell, Drawn, Section, Table, Words, count
from featurestore.report.charts import Axis, Plot, histogram
from featurestore.report.figures import Collection, Figures, Sizes
from featurestore.report.pictures import Pictures

LABELS, REASONS = 20, 8  # rows shown at most


def collection(report: Figures) -> Section:
    """Counts, some images, labels, image sizes, and failures."""
    held = report.collection
    blocks: list[Block] = [
        Words(_counts(held, report.encoder["name"])),
        Drawn(lambda pictures: _mosaic(held, pictures)),
        Beside(_labels(held), _image_sizes(held.sizes)),
    ]
    if held.failures:
        reasons: list[list[Cell]] = [[reason, n] for reason, n in held.reasons.items()]
        blocks.append(Words(f"{count(held.failures, 'file')} could not be used."))
        blocks.append(Table(("reason", "files"), reasons[:REASONS]))
    return Section("collection", "The collection", blocks)


def _labels(held: Collection) -> list[Block]:
    if not held.labels:
        return []
    ranked = sorted(held.labels.items(), key=lambda entry: -entry[1])
    blocks: list[Block] = [Table(("label", "images"), ranked[:LABELS], bars=True)]
    if len(ranked) > LABELS:
        smallest = count(ranked[-1][1], "image")
        blocks.append(Words(f"The {LABELS} largest of {len(ranked):,} classes; the smallest has {smallest}."))
    return blocks


def _image_sizes(sizes: Sizes | None) -> list[Block]:
    if sizes is None:
        return []
    if sizes.edges[0] == sizes.edges[-1] or len([n for n in sizes.counts if n]) == 1:
        return [Words(_extent(sizes))]
    return [Words(_extent(sizes)), Drawn(lambda _: _histogram(sizes))]


def _counts(held: Collection, encoder: str) -> str:
    splits = ", ".join(f"{n:,} {name}" for name, n in held.splits.items() if name != "(none)")
    labels = (
        f"{held.labelled:,} with a label, of {count(len(held.labels), 'class', 'classes')}"
        if held.labelled
        else "none with a label"
    )
    parts = [f"{count(held.items, 'image')}, {labels}", f"splits: {splits or 'none'}"]
    if held.vectors != held.items:
        parts.append(f"{held.vectors:,} have a vector of {encoder}, which all that follows is about")
    if held.removed:
        parts.append(f"{held.removed:,} more have vanished from their source")
    return "; ".join(parts) + "."


def _extent(sizes: Sizes) -> str:
    (width, height), (wide, high) = sizes.smallest, sizes.largest
    if sizes.smallest == sizes.largest and len(set(sizes.counts) - {0}) == 1:
        return f"All images are {width:,} {TIMES} {height:,} pixels."
    return f"Image sizes: from {width:,} {TIMES} {height:,} to {wide:,} {TIMES} {high:,} pixels; the longer side has a median of {sizes.median:,}."


def _histogram(sizes: Sizes) -> str:
    x = Axis.over("longer side, pixels", sizes.edges, "{:,.0f}".format)
    alt = f"Histogram of the longer sides of the images, from {sizes.edges[0]:.0f} to {sizes.edges[-1]:.0f} pixels, median {sizes.median}"
    y = Axis.over("images", [0, max(sizes.counts)], "{:,.0f}".format)
    return f'<figure class="plot">{histogram(sizes.counts, sizes.edges, Plot(x, y), alt)}</figure>'


def _mosaic(held: Collection, pictures: Pictures) -> str:
    shown = "".join(f"<li>{pictures.show(item, item.label or 'image')}</li>" for item in held.mosaic)
    return f'<figure><ul class="mosaic">{shown}</ul><figcaption>some images, drawn at random</figcaption></figure>'
