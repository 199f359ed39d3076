"""Galleries as pages, sheets and parts of a notebook: what they show, how many, and that markup in names is text."""

import re
from pathlib import Path

import pytest
from PIL import Image

from featurestore.errors import DiskError, ImageError
from featurestore.rendering import contact_sheet, galleries_page, inline_image, notebook
from featurestore.rendering.galleries import PAGE, SHEET, Gallery, Limits, Picture, left_out, limited
from featurestore.rendering.gallery_sheet import HEAD, SPACING, gallery_sheet
from tests.featurestore.fakes import COLOURS, paint
from tests.featurestore.rendering.pages import Reader


def gallery(count: int, title: str = "group") -> Gallery:
    return Gallery(title, [Picture(f"/a/{n}.png", str(n)) for n in range(count)])


def read(galleries: list[Gallery], file: Path, summary: tuple[str, ...] = ()) -> Reader:
    galleries_page.write(file, "Findings", summary, galleries, [("encoder", "abc")])
    return Reader(file.read_text(encoding="utf-8"))


# -- how many


def test_few_are_shown_as_they_are() -> None:
    few = [gallery(3), gallery(1)]
    assert limited(few, Limits(2, 100, 3)) == few
    assert left_out(few, Limits(2, 100, 3)) == []
    assert (limited([], PAGE), left_out([], PAGE)) == ([], [])


def test_many_galleries_and_pictures_are_cut_and_it_is_said() -> None:
    limits = Limits(2, 10, 3)
    shown = limited([gallery(6), gallery(5), gallery(1)], limits)
    assert [(g.title, len(g.pictures)) for g in shown] == [("group (the first 5 of 6 are shown)", 5), ("group", 5)]
    assert left_out([gallery(1)] * 1234, limits) == ["the first 2 of 1,234 groups are shown"]
    assert len(limited([gallery(99)], limits)[0].pictures) == 10  # alone it may have all
    assert len(limited([gallery(99)] * 2, Limits(2, 2, 3))[1].pictures) == 3


# -- the page


def test_a_page_shows_galleries_with_what_is_said_of_each_picture(tmp_path: Path) -> None:
    red, blue = (str(paint(tmp_path / "in" / f"{name}.png", COLOURS[name])) for name in ("red", "blue"))
    shown = Gallery("near, 2 images", [Picture(red, "keep", "id 1", marked=True), Picture(blue, "score 0.99")])
    found = read([shown, Gallery("one", [Picture(blue, "alone")])], tmp_path / "a.html", ("one sentence", "another"))
    assert found.texts[2:] == [
        "Findings", "one sentence", "another", "encoder", "abc", "folder of the images", f"{tmp_path}/in/",
        "near, 2 images", "keep", "id 1", "red.png", "score 0.99", "blue.png", "one", "alone", "blue.png",
    ]  # fmt: skip
    assert found.links == [Path(path).as_uri() for path in (red, blue, blue)]
    assert found.alts == [red, blue, blue]
    assert found.classes.count("example") == 1
    assert max(max(picture.size) for picture in found.pictures) <= 320


def test_a_page_says_what_it_leaves_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(galleries_page, "PAGE", Limits(2, 2, 2))
    found = read([gallery(3)] * 3, tmp_path / "a.html")
    assert "the first 2 of 3 groups are shown" in found.texts
    assert found.texts.count("group (the first 2 of 3 are shown)") == 2
    assert found.tags.count("figure") == 4


def test_a_page_of_nothing_says_what_was_found(tmp_path: Path) -> None:
    assert "0 groups among 6 items" in read([], tmp_path / "a.html", ("0 groups among 6 items",)).texts


def test_a_page_loads_nothing(tmp_path: Path) -> None:
    file = tmp_path / "a.html"
    found = read([Gallery("g", [Picture(str(paint(tmp_path / "a.png", (1, 2, 3))), "t")])], file)
    html = file.read_text()
    assert "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; style-src 'unsafe-inline'" in html
    assert not {"script", "link", "iframe", "object"} & set(found.tags)
    assert not re.search(r"url\(|@import", html)


EVIL = ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "' onload='x", "a\nb\x1b[31m", "\udcff", "&lt;"]


def test_markup_in_names_and_words_is_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*arguments: object) -> Image.Image:
        raise ImageError("<b>gone</b>")

    monkeypatch.setattr(inline_image, "thumbnail", gone)
    shown = [Gallery(evil, [Picture(f"/{evil}.png", evil, evil, marked=True)]) for evil in EVIL]
    galleries_page.write(tmp_path / "a.html", EVIL[0], EVIL, shown, [(EVIL[1], EVIL[0])])
    part = notebook.render_galleries(EVIL[0], EVIL, shown)
    for html in ((tmp_path / "a.html").read_text(encoding="utf-8"), part):
        found = Reader(html)  # which refuses handlers
        assert "script" not in found.tags
        assert found.tags.count("img") == 0
        assert found.pictures == []
        assert {EVIL[0], EVIL[1], "<b>gone</b>", "a\\x0ab\\x1b[31m", "\\udcff"} <= set(found.texts)
        assert "\x1b" not in html


def test_a_file_that_cannot_be_shown_leaves_a_reason(tmp_path: Path) -> None:
    found = read([Gallery("g", [Picture(str(tmp_path / "gone.png"), "t")])], tmp_path / "a.html")
    assert found.pictures == []
    assert "no such file, or it has vanished" in found.texts


def test_a_page_is_written_completely_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*arguments: object, **options: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(galleries_page, "inline_image", full)
    (tmp_path / "a.html").write_text("yesterday's")
    with pytest.raises(DiskError, match=r"a\.html could not be written"):
        read([gallery(1)], tmp_path / "a.html")
    assert [(file.name, file.read_text()) for file in tmp_path.iterdir()] == [("a.html", "yesterday's")]


# -- the sheet


def test_a_sheet_has_a_row_for_small_galleries_and_several_for_large_ones(tmp_path: Path) -> None:
    red = str(paint(tmp_path / "red.png", COLOURS["red"]))
    pair = Gallery("pair", [Picture(red, "keep", "id 1", marked=True), Picture(red, "score 1.000")])
    many = Gallery("many", [Picture(red, "score 1.000")] * 7)
    sheet = gallery_sheet("Findings", ["one", "two"], [pair, pair, pair, many])
    top = HEAD + 2 * SPACING + contact_sheet.GAP
    line = SPACING + contact_sheet.GAP
    assert sheet.size == (
        contact_sheet.GAP + 6 * contact_sheet.COLUMN, top + line + contact_sheet.ROW + line + 2 * contact_sheet.ROW,
    )  # fmt: skip
    row = top + SPACING + contact_sheet.GAP // 2 + contact_sheet.TILE // 2
    tiles = [contact_sheet.GAP + n * contact_sheet.COLUMN for n in range(6)]
    assert [sheet.getpixel((x + contact_sheet.TILE // 2, row)) for x in tiles] == [COLOURS["red"]] * 6
    blue = tuple(bytes.fromhex(contact_sheet.EXAMPLE[1:]))
    assert [sheet.getpixel((x, row)) == blue for x in tiles] == [True, False] * 3


def test_the_largest_sheet_fits_into_every_format(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contact_sheet, "draw_tile", lambda *arguments: None)
    for galleries in (1, 7, 39, 40, 99):
        for count in (7, 300):
            assert gallery_sheet("t", ["s"] * 5, [gallery(count)] * galleries).height < 16_384  # of a WebP
    assert gallery_sheet("t", [], []).height > 0
    assert SHEET.each == contact_sheet.COLUMNS


# -- the notebook


def test_a_notebook_shows_the_first_of_each(tmp_path: Path) -> None:
    red = str(paint(tmp_path / "red.png", COLOURS["red"]))
    html = notebook.render_galleries("Findings", ["sentence"], [Gallery("g", [Picture(red, "t", "n", True)])] * 9)
    found = Reader(html)
    assert found.texts[:2] == ["Findings", "sentence"]
    assert "the first 4 of 9 groups are shown" in found.texts
    assert (html.count("<figure"), html.count("3px solid")) == (4, 4)
    assert not {"script", "style", "link"} & set(found.tags)
