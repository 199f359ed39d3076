"""The report as a page: its sections, pictures and map, and that markup in labels and names stays text."""

import base64
import hashlib
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageColor

from featurestore import FeatureStore
from featurestore.evaluation.knn import Leaks
from featurestore.metrics.twins import Twins
from featurestore.rendering.html import templates
from featurestore.report.blocks import Columns, Graphic, Paragraph, Table
from featurestore.report.map import map_section
from featurestore.report.measures import knn
from featurestore.report.overview import collection
from featurestore.report.pictures import GREY, SIDE, TILE, Pictures
from featurestore.report.projection import MapLayout, pca
from featurestore.report.report import Report
from featurestore.report.values import Item, Map
from tests.featurestore.fakes import COLOURS, paint
from tests.featurestore.rendering.pages import Reader
from tests.featurestore.report.conftest import DRAWS, draw_source, new_store, report, written

EVIL = ['<b>bold</b>', '"><img src=x onerror=alert(1)>', "</script><script>alert(1)</script>", "a|b`c*d\x1b[31m", "{}%s\\", "10"]  # fmt: skip
SECTIONS = [
    "classes", "confusion", "neighbours", "map", "clusters", "outliers", "label-errors", "copies", "collection", "knn", "few-labels",
    "without-labels", "made",
]  # fmt: skip


def section_names(html: str) -> list[str]:
    return re.findall(r'<section id="([^"]*)"', html)


@pytest.fixture(scope="module")
def html(made: Report, tmp_path_factory: pytest.TempPathFactory) -> str:
    return made.save(tmp_path_factory.mktemp("page") / "report.html").read_text(encoding="utf-8")


def test_a_page_links_to_all_its_sections(html: str) -> None:
    assert section_names(html) == SECTIONS
    assert Reader(html).links == [f"#{name}" for name in SECTIONS]


def test_a_page_says_how_every_figure_was_measured(html: str) -> None:
    footnotes = re.findall(r'<p class="footnote">(.*?)</p>', html)
    encoder = re.search(r"quadrants-[0-9a-f]{8}", html)
    assert encoder is not None
    conditions = f"train → test · 18 train, 12 test · {encoder[0]} · seed 0"
    assert f"k-NN · {conditions}" in footnotes
    assert f"few labels, {DRAWS} draws · {conditions}" in footnotes
    assert (
        footnotes.count(f"k-NN, k = 10, T = 0.07 · {conditions}") == 2
    )  # the confusion matrix, and best and worst classes
    assert len(footnotes) == len(SECTIONS) - 3  # all but unknown copies, the collection itself, and how it was made
    assert all(encoder[0] in line and "seed 0" in line for line in footnotes)


def test_a_page_says_how_many_images_leak(html: str, made: Report) -> None:
    assert "Near copies were not looked for: featurestore leaks STORE." in html
    figures = made.figures.knn
    assert figures is not None

    def last(leaks: Leaks, twins: Twins) -> str:
        *_, block = knn(made.figures, replace(figures, leaks=leaks, twins=twins)).blocks
        assert isinstance(block, Paragraph)
        return block.text

    among = "copy among those that vote"
    assert last(Leaks(4, 0.75, 0), Twins(3, 0.8)) == (
        f"Images with an exact, near or mirrored {among}: 4, 3 of them exact. Without them, top-1 at k = 10 is 75.0 %."
    )
    assert last(Leaks(0, None, 2), Twins(0, None)) == (
        f"Images with an exact, near or mirrored {among}: 0. 2 pictures could not be looked at."
    )


def test_a_page_shows_the_figures(html: str, labelled: FeatureStore) -> None:
    [first, *_] = labelled.knn().results
    texts = Reader(html).texts
    assert f"{100 * first.top1:.1f}" in texts
    assert f"{100 * first.top1_ci95[0]:.1f}\u2013{100 * first.top1_ci95[1]:.1f}" in texts
    assert "1 of 4 of warm are classified as leaf" in html
    assert "3 of 4 of warm are classified correctly" in html


def test_a_page_loads_nothing_and_runs_one_script(html: str) -> None:
    """The policy allows one script by its hash, and nothing from elsewhere."""
    [script] = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    known = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    [policy] = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)
    assert (
        policy
        == f"default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{known}'"
    )
    assert not {"link", "iframe", "object", "base", "form"} & set(Reader(html).tags)
    assert not re.search(r"url\(|@import|https?://", html)


def test_a_page_contains_no_whole_paths(html: str, drawn: Path, labelled_path: Path) -> None:
    assert str(drawn.parent) not in html
    assert str(labelled_path.parent) not in html
    assert 'title="test/warm/1.png"' in html


def test_pictures_are_small_and_every_picture_and_chart_is_described(html: str) -> None:
    found = Reader(html)
    assert len(found.alts) == len(found.pictures)
    assert len([alt for alt in found.alts if not alt]) == 1  # the sheet of the map, whose items have titles
    charts = re.findall(r'<svg class="(?:chart|scatter)"[^>]*>', html)
    assert len(charts) == 3  # sizes, few labels, map
    assert all(re.search(r'role="img" aria-label="[^"]{20,}"', chart) for chart in charts)
    sheet = next(picture for picture, alt in zip(found.pictures, found.alts, strict=True) if not alt)
    assert max(max(p.size) for p in found.pictures if p is not sheet) <= SIDE
    assert {"warm: test/warm/1.png", "cold: train/cold/0.png"} <= set(found.alts)
    assert html.count('class="zoom"') == len(found.pictures) - 1  # each can be enlarged
    assert len(html) < 400_000


def test_the_map_has_a_mark_a_picture_and_a_title_for_each_item(html: str, made: Report) -> None:
    assert made.figures.map is not None
    titles = re.findall(r"<title>([^<]*)</title></[cp]", html, re.DOTALL)
    assert titles == [f"{item.label}\n{'/'.join(item.path.split('/')[-3:])}" for item in made.figures.map.items]
    assert (40 * TILE, TILE) in [picture.size for picture in Reader(html).pictures]
    places = re.findall(r'data-x="([\d.]+)" data-y="([\d.]+)"', html)
    assert all(0 < float(v) < 720 for v in places[0])


def test_the_map_of_many_classes_marks_the_most_frequent(made: Report) -> None:
    labels = [f"class {n:02}" for n in range(45) for _ in range(2 if n < 44 else 1)] + [None]
    items = tuple(Item(n, f"/a/b/c/{n}.png", label) for n, label in enumerate(labels))
    layout = pca(np.random.default_rng(0).normal(size=(len(items), 3)).astype(np.float32))
    [words, drawn, *_] = map_section(made.figures, Map(layout, items, 500)).blocks
    assert isinstance(words, Paragraph)
    assert isinstance(drawn, Graphic)
    assert "90 images drawn at random from 500" in words.text
    assert "The 40 most frequent of 45 classes" in words.text
    pictures = Pictures(dict.fromkeys(range(90), "gone"))
    html = templates("featurestore.report").get_template("map.html").render(drawn.values, pictures=pictures)
    assert html.count("<button") == 45
    assert html.count('class="point none"') == 10  # nine of the other classes, one without a label
    assert html.count('class="swatch none"') == 5 + 1
    assert "no label <small>1</small>" in html
    looks = set(re.findall(r'<(circle|path) class="point (c\d)"[^>]*?( d="M[\d. -]+[a-z])?', html))
    assert len({colour for _, colour, _ in looks}) == 10


def test_names_stand_on_the_map_where_they_do_not_cover_one_another(made: Report) -> None:
    points = np.array([[0, 0], [1, 0], [9, 9], [10, 9], [0, 0.1], [1, 0.1], [5, 5]], float)
    items = tuple(Item(n, f"{n}.png", label) for n, label in enumerate([*"aabbcc", None]))
    layout = MapLayout("tsne", "", points, None)
    drawn = map_section(made.figures, Map(layout, items, 7)).blocks[1]
    assert isinstance(drawn, Graphic)
    assert re.findall(r'class="name"[^>]*>(\w)<', drawn.values["plane"]) == ["a", "b"]


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        ({"a": 3, "b": 3}, "2 classes of 3 images each: a, b."),
        ({"a": 3, "b": 2}, [["a", 3], ["b", 2], False]),
        ({"a": 2, "b": 30}, [["b", 30], ["a", 2], True]),
    ],
)
def test_bars_are_drawn_only_where_they_say_something(made: Report, labels: dict[str, int], said: object) -> None:
    held = replace(made.figures.collection, labels=labels)
    block = collection(replace(made.figures, collection=held)).blocks[2]
    if isinstance(block, Columns):
        [table] = block.left
        assert isinstance(table, Table)
        assert [*map(list, table.rows), table.bars] == said
    else:
        assert isinstance(block, Paragraph)
        assert block.text == said


def test_an_image_that_cannot_be_opened_leaves_a_tile(tmp_path: Path, encoder: Path) -> None:
    source = draw_source(tmp_path / "source")
    store = new_store(tmp_path / "own.store", encoder, source)
    whole = written(store, tmp_path / "whole.html")
    (source / "test/leaf/0.png").unlink()
    (source / "test/warm/1.png").write_bytes(b"no picture")
    found = written(store, tmp_path / "report.html")
    assert "cannot be opened" not in whole
    assert 'title="no such file, or it has vanished">cannot be opened' in found
    assert 'title="not an image, or of a format without a decoder here">cannot be opened' in found
    assert section_names(found) == section_names(whole)


def test_a_sheet_has_a_grey_tile_for_an_image_that_cannot_be_opened() -> None:
    items = [Item(n, f"{n}.png", None) for n in range(3)]
    wide, square = Image.new("RGB", (30, 10), (255, 0, 0)), Image.new("RGB", (64, 64), (0, 0, 255))
    sheet = Pictures({0: "gone", 1: wide, 2: square}).sheet(items, columns=2)
    assert sheet.size == (2 * TILE, 2 * TILE)
    middles = [
        sheet.getpixel((x, y))
        for x, y in ((TILE // 2, TILE // 2), (3 * TILE // 2, TILE // 2), (TILE // 2, 3 * TILE // 2))
    ]
    assert middles == [ImageColor.getrgb(GREY), (255, 0, 0), (0, 0, 255)]


def test_markup_in_labels_and_names_is_text(tmp_path: Path, encoder: Path) -> None:
    source = tmp_path / "source"
    for at, colour in enumerate(COLOURS.values()):
        for split in ("train", "test"):
            for n in range(2):
                red, green, blue = (max(0, c - n) for c in colour)
                paint(source / split / f"<i>{at}" / f'"{n}" onload=alert(1) <u>.png', (red, green, blue))
    store = new_store(tmp_path / "<script>evil.store", encoder, source)
    rows = store.sql("SELECT id, label FROM items").to_pylist()
    given = {"id": [r["id"] for r in rows], "label": [EVIL[int(r["label"][3:])] for r in rows]}
    pq.write_table(pa.table(given), tmp_path / "evil.parquet")
    store.label(tmp_path / "evil.parquet")
    found = written(store, tmp_path / "report.html")
    reader = Reader(found)  # which refuses handlers, and pictures from elsewhere
    assert reader.tags.count("script") == 1
    assert not {"b", "i", "u"} & set(reader.tags)
    assert {"<b>bold</b>", "</script><script>alert(1)</script>", "a|b`c*d[31m"} <= set(reader.texts)
    text = written(store, tmp_path / "report.md")
    assert "\x1b" not in text
    assert not re.search(r"(?<!\\)[<`*]b", text)
    assert r"a\|b\`c\*d" in text


def test_without_labels_the_other_parts_are_there_and_it_says_how_to_add_them(
    tmp_path: Path, encoder: Path, drawn: Path
) -> None:
    store = FeatureStore.open(tmp_path / "plain.store", encoder)
    store.index(drawn)
    made = report(store)
    assert (made.figures.knn, made.figures.classes, made.figures.lowshot) == (None, None, None)
    assert list(made.figures.missing) == ["labels"]
    found = made.save(tmp_path / "report.html").read_text(encoding="utf-8")
    assert section_names(found) == [
        "neighbours", "map", "clusters", "outliers", "copies", "no-labels", "collection", "without-labels", "made",
    ]  # fmt: skip
    assert "30 images without labels of two classes" in found
    assert "featurestore label STORE FILE.csv" in found
    assert "no label" in found
