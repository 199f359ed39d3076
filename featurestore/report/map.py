"""The section of the map: a mark for each item, and its picture where the pointer is."""

from collections import Counter
from collections.abc import Iterator

import numpy as np
import pyarrow.compute as pc
from markupsafe import Markup
from numpy.typing import NDArray

from featurestore.rendering.html import text
from featurestore.report.blocks import MINUS, Block, Cell, Footnote, Graphic, Number, Paragraph, Section, Table
from featurestore.report.charts import COLOURS, SHAPES, colour_class, mark, svg, swatch
from featurestore.report.values import Item, Map, ReportValues
from featurestore.system.text import counted

SIDE, MARGIN = 720, 18  # of the plane
COLUMNS = 40  # of the sheet of pictures
RADIUS = 3.6
FLATTEST = 0.45  # height over width
DESCRIBED = 12  # classes that the description for screen readers names
MARKED = COLOURS * SHAPES  # classes with a mark of their own; the others share a grey one
LISTED = 300  # classes that the legend names
NAMED = 25  # up to so many classes, their names stand on the map itself
LETTER, LINE = 7.6, 17  # width and height of a letter of these names
LONGEST = 24  # letters of a name on the map
TITLES = {"pca": "PCA", "tsne": "t-SNE", "umap": "UMAP"}


def map_section(report: ReportValues, found: Map) -> Section:
    """Show items on a plane, coloured by label."""
    layout, title = found.layout, TITLES[found.layout.method]
    sizes = _sizes(found)
    drawn = "" if len(found.items) == found.of else f" drawn at random from {found.of:,}"
    words = f"{counted(len(found.items), 'image')}{drawn}, placed by {title} of their vectors: images that look alike to the encoder lie close together."
    if layout.method == "pca":
        words += f" The two directions shown cover {layout.settings}; images that lie together here may lie apart in the others."
    else:
        words += " Distances between groups that lie far apart mean little."
    if len(sizes) > MARKED:
        words += f" The {MARKED} most frequent of {len(sizes):,} classes have a mark of their own; the others are grey."
    uncovered = _uncovered(report)
    if uncovered:
        words += " Rings are unlabelled images that no label covers, see below."
    blocks: list[Block] = [
        Paragraph(words),
        Graphic("map", _values(found, sizes, uncovered)),
        Table(("class", "images", "mean of x", "mean of y"), [_row(found, label, n) for label, n in sizes.items()],
              summary="The mean of each class as a table"),
        Footnote([f"{title}, {layout.settings}", f"{len(found.items):,} of {found.of:,}", report.encoder["name"], f"seed {report.seed}"]),
    ]  # fmt: skip
    return Section("map", "Map of the collection", blocks)


def _sizes(found: Map) -> dict[str, int]:
    """Count the items of each label on the map, most frequent first."""
    counts = Counter(item.label for item in found.items if item.label is not None)
    return dict(sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])))


def _row(found: Map, label: str, n: int) -> list[Cell]:
    own = [at for at, item in enumerate(found.items) if item.label == label]
    x, y = found.layout.points[own].mean(axis=0).tolist()
    return [label, n, *(Number(f"{value:.3g}".replace("-", MINUS)) for value in (x, y))]


def _uncovered(report: ReportValues) -> set[int]:
    """Give the ids of the unlabelled items that no label covers."""
    if report.coverage is None or report.coverage.typical is None:
        return set()
    far = pc.less(report.coverage.scores["score"], report.coverage.typical)
    return set(report.coverage.scores["id"].filter(far).to_pylist())


def _values(found: Map, sizes: dict[str, int], uncovered: set[int]) -> dict[str, object]:
    marked = sorted(list(sizes)[:MARKED])
    listed = marked + sorted(list(sizes)[MARKED:LISTED])
    numbers = {label: number for number, label in enumerate(listed)}
    points, height = _fit(found.layout.points)
    marks = "".join(
        _mark(item, x, y, numbers.get(item.label or ""), item.id in uncovered) for item, (x, y) in zip(found.items, points.tolist(), strict=True)
    )  # fmt: skip
    names = "".join(_names(found, points, sizes)) if 1 < len(sizes) <= NAMED else ""
    alt = f"Map of {len(found.items)} images" + "".join(f", {n} of {label}" for label, n in list(sizes.items())[:DESCRIBED])  # fmt: skip
    unlabelled = len(found.items) - sum(sizes.values())
    rings = sum(item.id in uncovered for item in found.items)
    others = [
        (_key(None), "other classes", sum(list(sizes.values())[LISTED:])),
        (_key(None), "no label", unlabelled - rings if sizes else 0),
        (svg("-6 -6 12 12", mark(0, 0, 0, RADIUS), "swatch far"), "no label, not covered", rings),
    ]
    return {
        "plane": svg(f"0 0 {SIDE} {height}", marks + names, "scatter", alt), "axes": found.layout.axes or (), "items": found.items,
        "columns": COLUMNS, "rows": -(-len(found.items) // COLUMNS), "others": [(drawn, name, f"{n:,}") for drawn, name, n in others if n],
        "legend": [(number, label, f"{sizes[label]:,}") for number, label in enumerate(listed)], "key": _key,
    }  # fmt: skip


def _look(number: int | None) -> tuple[int | None, int]:
    """Give the colour and shape of a class by its number in the legend; a colour of None is grey."""
    return (None, 0) if number is None or number >= MARKED else (number % COLOURS, number // COLOURS)


def _key(number: int | None) -> Markup:
    """Draw the mark of a class for the legend."""
    return swatch(*_look(number), RADIUS)


def _names(found: Map, points: NDArray[np.float64], sizes: dict[str, int]) -> Iterator[str]:
    """Write the name of each class where its items lie most densely, unless it would cover another name."""
    labels = np.array([item.label or "" for item in found.items])
    taken: list[tuple[float, float, float]] = []  # middle and half the width
    for label in sizes:
        x, y = _densest(points[labels == label]).tolist()
        name = label if len(label) <= LONGEST else label[: LONGEST - 1] + "…"
        half = len(name) * LETTER / 2
        x = min(max(x, half), SIDE - half)
        if all(
            abs(y - other_y) > LINE or abs(x - other_x) > half + other_half for other_x, other_y, other_half in taken
        ):
            taken.append((x, y, half))
            yield f'<text class="name" x="{x:.1f}" y="{y:.1f}">{text(name)}</text>'


def _densest(points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Choose the point that has a third of the others nearest around it."""
    away = np.linalg.norm(points[:, None] - points, axis=2)
    nearest: NDArray[np.float64] = points[np.sort(away, axis=1)[:, len(points) // 3].argmin()]
    return nearest


def _fit(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], int]:
    """Scale points to the drawing, the same in both directions and y downwards; returns them and the height of the drawing."""
    low, high = points.min(axis=0), points.max(axis=0)
    span = np.maximum(high - low, 1e-12)
    scale = (SIDE - 2 * MARGIN) / max(span[0], span[1])
    height = int(max(span[1] * scale + 2 * MARGIN, SIDE * FLATTEST))
    centred = (points - (low + high) / 2) * scale * np.array([1, -1])
    return centred + np.array([SIDE / 2, height / 2]), height


def _mark(item: Item, x: float, y: float, number: int | None, ring: bool) -> str:
    colour, shape = _look(number)
    label = "" if number is None else f' data-label="{number}"'
    title = f"<title>{text(item.label or 'no label')}\n{text(item.short_path)}</title>"
    look = "far" if ring else colour_class(colour)
    attributes = f' class="point {look}" data-x="{x:.1f}" data-y="{y:.1f}"{label}'
    return mark(shape, x, y, RADIUS, attributes, title)
