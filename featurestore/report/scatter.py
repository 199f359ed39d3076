"""The section of the map: a mark an item, its picture where the pointer is."""

from collections import Counter

import numpy as np
from numpy.typing import NDArray

from featurestore.rendering.html import embedded, text
from featurestore.report.blocks import MINUS, Block, Cell, Drawn, Number, Origin, Section, Table, Words, count
from featurestore.report.charts import COLOURS, SHAPES, mark, svg
from featurestore.report.figures import Figures, Item, Map
from featurestore.report.galleries import place
from featurestore.report.pictures import QUALITY, Pictures

SIDE, MARGIN = 720, 18  # of the plane
COLUMNS = 40  # of the sheet of pictures
RADIUS = 3.6
FLATTEST = 0.45  # height over width
TOLD = 12  # classes that the words for those who do not see it name
NAMED = COLOURS * SHAPES  # classes with a mark of their own; the others share a grey one
TITLES = {"pca": "PCA", "tsne": "t-SNE", "umap": "UMAP"}


def map_of(report: Figures, found: Map) -> Section:
    """Items on a plane, coloured by label."""
    sizes = _sizes(found)
    named = {label: number for number, label in enumerate(sorted(list(sizes)[:NAMED]))}
    layout, title = found.layout, TITLES[found.layout.method]
    drawn_from = "" if len(found.items) == found.of else f" drawn at random from {found.of:,}"
    words = f"{count(len(found.items), 'image')}{drawn_from}, each where {title} puts its vector: what lies close together looks alike to the encoder."
    if layout.method == "pca":
        words += f" The two directions shown hold {layout.settings}; what lies apart in others may lie together here."
    else:
        words += " Distances between far groups mean little."
    if len(sizes) > NAMED:
        words += f" The {NAMED} most frequent of {len(sizes):,} classes have a mark of their own."
    rows = [_row(found, label, n) for label, n in sizes.items()]
    blocks: list[Block] = [
        Words(words),
        Drawn(lambda pictures: _draw(found, named, sizes, pictures)),
        Table(("class", "images", "mean of x", "mean of y"), rows, behind="The middle of each class as a table"),
        Origin([f"{title}, {layout.settings}", f"{len(found.items):,} of {found.of:,}", report.encoder["name"], f"seed {report.seed}"]),
    ]  # fmt: skip
    return Section("map", "A map of the collection", blocks)


def _sizes(found: Map) -> dict[str, int]:
    """How many items of each label are on the map, most frequent first."""
    counts = Counter(item.label for item in found.items if item.label is not None)
    return dict(sorted(counts.items(), key=lambda entry: (-entry[1], entry[0])))


def _row(found: Map, label: str, n: int) -> list[Cell]:
    own = [at for at, item in enumerate(found.items) if item.label == label]
    x, y = found.layout.places[own].mean(axis=0).tolist()
    return [label, n, *(Number(f"{value:.3g}".replace("-", MINUS)) for value in (x, y))]


def _draw(found: Map, named: dict[str, int], sizes: dict[str, int], pictures: Pictures) -> str:
    places, height = _on_paper(found.layout.places)
    marks = [
        _point(item, x, y, named.get(item.label or ""))
        for item, (x, y) in zip(found.items, places.tolist(), strict=True)
    ]
    alt = f"Map of {len(found.items)} images" + "".join(f", {n} of {label}" for label, n in list(sizes.items())[:TOLD])
    sheet, rows = embedded(pictures.sheet(found.items, COLUMNS), QUALITY), -(-len(found.items) // COLUMNS)
    axes = "".join(
        f"<span>{arrow} {text(name)}</span> " for arrow, name in zip("→↑", found.layout.axes or (), strict=False)
    )
    return f"""<div class="map">
<div class="plane">{svg(SIDE, height, "".join(marks), alt, "scatter")}<p class="axes">{axes}</p></div>
{_legend(named, sizes)}
<div class="tip" hidden><div class="window">\
<img alt="" data-columns="{COLUMNS}" style="width:{100 * COLUMNS}%;height:{100 * rows}%" src="{sheet}"></div><p></p></div>
</div>"""


def _on_paper(places: NDArray[np.float64]) -> tuple[NDArray[np.float64], int]:
    """Places in units of the drawing, y downwards, and the height that it needs; one unit is as long in both directions."""
    low, high = places.min(axis=0), places.max(axis=0)
    span = np.maximum(high - low, 1e-12)
    scale = (SIDE - 2 * MARGIN) / max(span[0], span[1])
    height = int(max(span[1] * scale + 2 * MARGIN, SIDE * FLATTEST))
    centred = (places - (low + high) / 2) * scale * np.array([1, -1])
    return centred + np.array([SIDE / 2, height / 2]), height


def _point(item: Item, x: float, y: float, number: int | None) -> str:
    look = "none" if number is None else f"c{number % COLOURS}"
    label = "" if number is None else f' data-label="{number}"'
    words = f"<title>{text(item.label or 'no label')}\n{text(place(item))}</title>"
    return mark(
        (number or 0) // COLOURS, x, y, RADIUS, f' class="point {look}" data-x="{x:.1f}" data-y="{y:.1f}"{label}', words
    )


def _legend(named: dict[str, int], sizes: dict[str, int]) -> str:
    """Labels with their marks; where scripts run, one that is pressed leaves only its own items in colour."""
    keys = [
        f'<li><button disabled data-label="{number}" aria-pressed="false"><svg class="swatch c{number % COLOURS}" viewBox="-6 -6 12 12" aria-hidden="true">'
        f"{mark(number // COLOURS, 0, 0, RADIUS)}</svg>{text(label)} <small>{sizes[label]:,}</small></button></li>"
        for label, number in named.items()
    ]
    others = sum(sizes.values()) - sum(sizes[label] for label in named)
    if others:
        keys.append(f"<li>other classes <small>{others:,}</small></li>")
    return f'<ul class="legend keys">{"".join(keys)}</ul>' if keys else ""
