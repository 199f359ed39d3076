"""The page of matches, read as a browser would."""

import re
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featurestore.errors import DiskError, ImageError
from featurestore.rendering import hits_page as page
from featurestore.rendering import inline_image
from featurestore.rendering.html import breakable
from featurestore.rendering.query_image import QueryImage
from featurestore.search.results import Matches
from tests.featurestore.fakes import COLOURS, paint
from tests.featurestore.rendering.pages import Reader


def matches(paths: list[str], labels: list[str | None] | None = None, query: tuple[QueryImage, ...] = ()) -> Matches:
    n = len(paths)
    return Matches(np.arange(7, 7 + n), np.linspace(0.9, 0.5, n, dtype=np.float32), paths, labels or [None] * n, query)


def read(found: Matches, file: Path) -> Reader:
    assert found.html(file) == file
    return Reader(file.read_text(encoding="utf-8"))


def colour(picture: Image.Image) -> tuple[int, ...]:
    """The colour in the middle, rounded to what JPEG keeps."""
    at = np.asarray(picture.convert("RGB"))[picture.height // 2, picture.width // 2].astype(float)
    return tuple(int(round(float(value) / 51) * 51) for value in at)


def test_a_page_shows_examples_and_hits(tmp_path: Path) -> None:
    paths = {name: str(paint(tmp_path / f"{name}.png", COLOURS[name])) for name in ("red", "blue", "green", "cyan")}
    with tarfile.open(tmp_path / "shard.tar", "w") as tar:
        tar.add(paths["cyan"], "in/cyan.png")
    member = f"{tmp_path}/shard.tar::in/cyan.png"
    shown = (
        QueryImage(paths["red"], paths["red"]), QueryImage(Image.new("RGBA", (8, 8), (0, 0, 0, 0)), "an image"),
        QueryImage(None, "a vector"), QueryImage(paths["green"], "item 3", negative=True),
    )  # fmt: skip
    found = read(matches([paths["blue"], member], ["sea", None], shown), tmp_path / "hits.html")
    assert [colour(p) for p in found.pictures] == [COLOURS[name] for name in ("red", "white", "green", "blue", "cyan")]
    start = found.texts.index("2 nearest images", 1)
    assert found.texts[2:start] == [
        "query", "red.png", "query", "an image", "no picture", "query", "a vector", "not", "item 3", "green.png",
    ]  # fmt: skip
    assert found.texts[start:] == [
        "2 nearest images", "by cosine similarity",
        "folder of the hits", f"{tmp_path}/",
        "1", "sea", "0.900", "blue.png", "id 7",
        "2", "0.500", "shard.tar::in/", "cyan.png", "id 8",
    ]  # fmt: skip
    assert found.links == [Path(paths[name]).as_uri() for name in ("red", "green", "blue")]
    assert [name for name in found.classes if name in ("example", "negative")] == ["example"] * 3 + ["negative"]
    assert found.alts == [paths["red"], "an image", "item 3", paths["blue"], member]


def test_a_page_loads_nothing(tmp_path: Path) -> None:
    found = matches([str(paint(tmp_path / "a.png", (1, 2, 3)))]).html(tmp_path / "hits.html").read_text()
    assert "default-src 'none'; base-uri 'none'; form-action 'none'; img-src data:; style-src 'unsafe-inline'" in found
    assert not {"script", "link", "iframe", "object"} & set(Reader(found).tags)
    assert not re.search(r"url\(|@import", found)


def test_markup_in_names_is_text(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(*arguments: object) -> Image.Image:
        raise ImageError("<b>gone</b>")

    monkeypatch.setattr(inline_image, "thumbnail", gone)  # no URL is opened here
    evil = [
        "/<script>alert(1)</script>/a.png", '/" onerror="alert(1)/a.png', "/'/&lt;.png", "javascript://x/%0aalert(1)",
        'https://x/"><script>.png', "/a\nb\x1b[31m.png", "/\udcff.png", "https://x/\udcff.png", "https://x/a?b&lt;c",
    ]  # fmt: skip
    labels: list[str | None] = ["<b>bold</b>", '"><img src=x>', *[None] * 7]
    query = (QueryImage("<i>.png", "<i>.png"), QueryImage(None, "<u>"))
    hits = replace(matches(evil, labels, query), facts=(("filter", "label = '<s>'"),), query_labels=("<b>bold</b>",))
    found = read(hits, tmp_path / "hits.html")
    assert not {"script", "i", "u", "b", "s"} & set(found.tags)
    assert found.pictures == []
    assert set(found.texts) >= {
        "<b>bold</b>", '"><img src=x>', "/<script>alert(1)</script>/", "<i>.png", "<u>", "a\\x0ab\\x1b[31m.png", "&lt;.png", "<b>gone</b>",
        "label = '<s>'", "<b>bold</b>: 1 of 9 hits share it",
    }  # fmt: skip
    assert all(link.startswith(("file:///", "https://x/")) for link in found.links)
    assert {"https://x/%22%3E%3Cscript%3E.png", "https://x/a?b&lt;c"} <= set(found.links)


def test_a_file_that_cannot_be_shown_leaves_a_reason(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("text")
    found = read(matches([str(tmp_path / "gone.jpg"), str(tmp_path / "text.jpg")]), tmp_path / "hits.html")
    assert found.pictures == []
    assert "no such file, or it has vanished" in found.texts
    assert any(text.startswith("not an image") for text in found.texts)


def test_pictures_are_upright_and_small(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.new("RGB", (1000, 500), "red").save(tmp_path / "turned.jpg", exif=exif)
    Image.new("RGB", (30, 20), "red").save(tmp_path / "tiny.png")
    Image.new("L", (5000, 1)).save(tmp_path / "thin.png")
    found = read(matches([str(tmp_path / n) for n in ("turned.jpg", "tiny.png", "thin.png")]), tmp_path / "hits.html")
    assert [p.size for p in found.pictures] == [(page.SIDE // 2, page.SIDE), (30, 20), (page.SIDE, 1)]
    assert found.classes.count("tiny") == 1


def test_a_page_of_no_hits_says_so(tmp_path: Path) -> None:
    assert "0 nearest images" in read(matches([]), tmp_path / "none.html").texts
    assert "1 nearest image" in read(matches(["/a.png"]), tmp_path / "one.html").texts


@pytest.mark.parametrize(
    ("paths", "folder"),
    [
        (["/a/bc/1.png", "/a/bd/2.png"], "/a/"),
        (["/a/b/1.png"], "/a/b/"),
        (["/a/1.png", "/b/2.png"], ""),
        (["/a.tar::in/1.png", "/a.tar::in/2.png"], "/a.tar::in/"),
        (["https://x/a/1.png", "https://x/b/2.png"], "https://x/"),
        (["https://x/1.png", "https://y/2.png"], ""),
        ([], ""),
    ],
)
def test_the_folder_of_all_hits_is_shown_once(paths: list[str], folder: str) -> None:
    assert page.common_folder(paths) == folder


def test_a_path_breaks_only_between_its_parts() -> None:
    assert breakable("/a b/<c>_d-e.jpg") == "/<wbr>a b/<wbr>&lt;c&gt;_<wbr>d-<wbr>e.jpg"


def test_hits_with_the_label_of_the_query_are_marked(tmp_path: Path) -> None:
    found = replace(
        matches(["/a/1.png", "/a/2.png", "/a/3.png"], ["sea", "sky", None]),
        query_labels=("sea",),
        label_lists={9: ["sky", "sea"]},
    )
    assert read(found, tmp_path / "hits.html").classes.count("same") == 2
    assert "same" not in read(replace(found, query_labels=()), tmp_path / "hits.html").classes


def test_a_page_is_written_completely_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = str(paint(tmp_path / "a.png", (1, 2, 3)))
    file = tmp_path / "hits.html"
    file.write_text("yesterday's")

    def full(*arguments: object, **options: object) -> str:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(page, "inline_image", full)
    with pytest.raises(
        DiskError, match=r"hits\.html could not be written \(No space left on device\); expected a name such as"
    ):
        matches([path]).html(file)
    assert file.read_text() == "yesterday's"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.png", "hits.html"]
