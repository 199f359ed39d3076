"""What a store answers: matches as values and as a sheet."""

import json
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageColor

from featurestore.errors import ConfigError, DiskError
from featurestore.rendering.contact_sheet import COLUMNS, EXAMPLE, GAP, LINE, NEGATIVE, TEXT, TILE
from featurestore.rendering.query_image import QueryImage
from featurestore.search import results
from featurestore.search.results import Hit, Matches
from tests.featurestore.fakes import COLOURS, paint


def matches(paths: list[str], query: tuple[QueryImage, ...] = ()) -> Matches:
    scores = np.linspace(0.9, 0.5, len(paths), dtype=np.float32)
    return Matches(np.arange(7, 7 + len(paths)), scores, paths, ["a"] * len(paths), query)


def test_matches_keep_rank_score_id_path_and_label_together() -> None:
    found = Matches(np.array([9, 4]), np.array([0.75, -1 / 3], np.float32), ["/b", "/a"], ["x", None])
    rows = found.to_json()
    assert rows == [
        {"rank": 1, "score": 0.75, "id": 9, "path": "/b", "label": "x", "labels": None},
        {"rank": 2, "score": -0.333333, "id": 4, "path": "/a", "label": None, "labels": None},
    ]
    assert json.loads(json.dumps(rows)) == rows
    assert [{**row, "score": round(row["score"], 6)} for row in found.to_arrow().to_pylist()] == rows
    assert (len(found), found.query, found.warnings) == (2, (), ())
    assert matches([]).to_arrow().schema.equals(found.to_arrow().schema)


def test_a_sheet_begins_with_its_examples(tmp_path: Path) -> None:
    paths = {name: str(paint(tmp_path / f"{name}.png", COLOURS[name])) for name in ("red", "blue", "green")}
    shown = (
        QueryImage(paths["red"], paths["red"]), QueryImage(None, "a vector"), QueryImage(Image.new("RGB", (9, 3), "white"), "an image"),
        QueryImage(paths["green"], "item\n3", negative=True),
    )  # fmt: skip
    with Image.open(matches([paths["blue"], "/gone.png"], shown).sheet(tmp_path / "hits.png")) as sheet:
        assert sheet.size == (GAP + 5 * (TILE + GAP), 30 + TILE + TEXT + GAP + GAP)
        lefts = [GAP + place * (TILE + GAP) for place in range(5)]
        centres = [sheet.getpixel((left + TILE // 2, 30 + TILE // 2)) for left in lefts]
        frames = [sheet.getpixel((left - 1, 30 + TILE // 2)) for left in lefts]
        wide = [sheet.getpixel((lefts[1] + TILE // 2, 30 + y)) for y in (TILE // 2 - 30, TILE // 2, TILE // 2 + 30)]
    assert centres == [COLOURS["red"], (255,) * 3, COLOURS["green"], COLOURS["blue"], (0xEE,) * 3]
    assert frames == [ImageColor.getrgb(ink) for ink in (EXAMPLE, EXAMPLE, NEGATIVE, LINE, LINE)]
    assert wide == [(255,) * 3] * 3


def test_a_sheet_breaks_into_rows(tmp_path: Path) -> None:
    for hits, columns, rows in ((0, 1, 0), (COLUMNS, COLUMNS, 1), (COLUMNS + 1, COLUMNS, 2)):
        with Image.open(matches(["/gone.png"] * hits).sheet(tmp_path / "hits.png")) as sheet:
            assert sheet.size == (GAP + columns * (TILE + GAP), 30 + rows * (TILE + TEXT + GAP) + GAP)
    with Image.open(tmp_path / "hits.png") as sheet:
        assert sheet.getpixel((GAP + TILE // 2, 30 + TILE + TEXT + GAP + TILE // 2)) == (0xEE,) * 3
    assert [path.name for path in tmp_path.iterdir()] == ["hits.png"]


def test_a_sheet_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(DiskError, match=r"hits.*could not be written.*expected a name such as hits\.png"):
        matches([]).sheet(tmp_path / "absent" / "hits.png")
    for name in ("hits.xyz", "hits"):
        with pytest.raises(ConfigError, match=r"hits.*is written as \.png, \.jpg, \.jpeg, \.webp; found"):
            matches([]).sheet(tmp_path / name)
    assert list(tmp_path.iterdir()) == []


def test_a_sheet_and_a_page_show_no_more_than_can_be_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(results, "DRAWN", 2)
    found = matches([str(paint(tmp_path / f"{n}.png", (n, n, n))) for n in range(3)])
    with Image.open(found.sheet(tmp_path / "hits.png")) as sheet:
        assert sheet.width == GAP + 2 * (TILE + GAP)
    text = found.html(tmp_path / "hits.html").read_text()
    assert text.count("<img ") == 2
    assert "by cosine similarity; the best 2 are shown" in text
    assert matches(["/a", "/b"]).html(tmp_path / "hits.html").read_text().count("are shown") == 0


def test_matches_are_a_sequence_of_hits() -> None:
    found = Matches(
        np.array([9, 4, 2]), np.array([0.75, 0.5, 0.25], np.float32), ["/b", "/a", "/c"], ["x", None, None],
        label_lists={4: ["x", "y"]},
    )  # fmt: skip
    hits = [Hit(9, 0.75, "/b", "x", None), Hit(4, 0.5, "/a", None, ["x", "y"]), Hit(2, 0.25, "/c", None, None)]
    assert list(found) == hits
    assert (found[0], found[-1], len(found)) == (hits[0], hits[2], 3)
    assert isinstance(found[1:], Matches)
    assert list(found[1:]) == hits[1:]
    assert [row["labels"] for row in found[1:].to_json()] == [["x", "y"], None]
    with pytest.raises(IndexError):
        found[3]
    assert repr(found) == "<Matches: 3 nearest images, scores 0.7500 to 0.2500, the best /b (x)>"
    assert repr(found[:0]) == "<Matches: no hits>"


def test_a_notebook_shows_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    red = str(paint(tmp_path / "red.png", COLOURS["red"]))
    evil = "<script>alert(1)</script>"
    found = replace(matches([red, f"/{evil}"], (QueryImage(red, red), QueryImage(None, evil))), labels=[evil, None])
    html = found._repr_html_()
    assert html.count('src="data:image/jpeg;base64,') == 2  # the first example and the first hit
    assert "script>" not in html.replace("&lt;script&gt;", "").replace("&lt;/script&gt;", "")
    assert not re.search(r"https?://|<link|<style", html)
    monkeypatch.setattr(results, "IN_NOTEBOOK", 1)
    assert found._repr_html_().count("<figure") == 2
    assert "; the best 1 are shown" in found._repr_html_()
    assert "0 nearest images" in matches([])._repr_html_()


def test_a_data_frame_needs_pandas(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(
        ConfigError, match=r"needs pandas, which is not installed: pip install 'featurestore\[pandas\]'"
    ):
        matches(["/a"]).to_pandas()
