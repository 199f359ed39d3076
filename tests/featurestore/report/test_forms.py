"""The three forms of a report: what the page, the text and the JSON say, and that they obey nothing they show."""

import base64
import hashlib
import json
import re
import shutil
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from featurestore import FeatureStore
from featurestore.errors import ConfigError, DiskError
from featurestore.rendering.html import templates
from featurestore.report.blocks import Graphic, Paragraph
from featurestore.report.map import map_section
from featurestore.report.pictures import GREY, SIDE, TILE, Pictures
from featurestore.report.projection import pca
from featurestore.report.report import Report
from featurestore.report.values import Item, Map
from tests.featurestore.commands import Run, answer
from tests.featurestore.fakes import COLOURS, paint
from tests.featurestore.rendering.pages import Reader
from tests.featurestore.report.conftest import DRAWS, draw_source, report

EVIL = ['<b>bold</b>', '"><img src=x onerror=alert(1)>', "</script><script>alert(1)</script>", "a|b`c*d\x1b[31m", "{}%s\\", "10"]  # fmt: skip
SECTIONS = ["collection", "knn", "few-labels", "confusion", "classes", "neighbours", "map", "without-labels"]


def written(store: FeatureStore, file: Path, **options: Any) -> str:
    return report(store, **options).save(file).read_text(encoding="utf-8")


def section_names(html: str) -> list[str]:
    return re.findall(r'<section id="([^"]*)"', html)


@pytest.fixture(scope="module")
def html(made: Report, tmp_path_factory: pytest.TempPathFactory) -> str:
    return made.save(tmp_path_factory.mktemp("page") / "report.html").read_text(encoding="utf-8")


def test_a_page_has_all_sections_and_a_way_to_each(html: str) -> None:
    assert section_names(html) == SECTIONS
    assert Reader(html).links == [f"#{name}" for name in SECTIONS]


def test_a_page_says_how_every_figure_was_taken(html: str) -> None:
    origins = re.findall(r'<p class="footnote">(.*?)</p>', html)
    encoder = re.search(r"quadrants-[0-9a-f]{8}", html)
    assert encoder is not None
    taken = f"train → test · 18 train, 12 test · {encoder[0]} · seed 0"
    assert f"k-NN · {taken}" in origins
    assert f"few labels, {DRAWS} draws · {taken}" in origins
    assert origins.count(f"k-NN, k = 10, T = 0.07 · {taken}") == 2  # the confusion matrix, and best and worst classes
    assert len(origins) == len(SECTIONS) - 1  # all but the collection itself
    assert all(encoder[0] in line and "seed 0" in line for line in origins)


def test_a_page_shows_the_figures(html: str, labelled: FeatureStore) -> None:
    [first, *_] = labelled.knn().results
    texts = Reader(html).texts
    assert f"{100 * first.top1:.1f} %" in texts
    assert f"{100 * first.top1_ci95[0]:.1f}\u2013{100 * first.top1_ci95[1]:.1f}" in texts
    assert "1 of 4 of warm are classified as leaf" in html
    assert "3 of 4 of warm are classified correctly" in html


def test_a_page_needs_nothing_from_elsewhere_and_runs_one_script_only(html: str) -> None:
    [script] = re.findall(r"<script>(.*?)</script>", html, re.DOTALL)
    known = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    [policy] = re.findall(r'http-equiv="Content-Security-Policy" content="([^"]*)"', html)
    assert policy == f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src 'sha256-{known}'"
    assert not {"link", "iframe", "object", "base", "form"} & set(Reader(html).tags)
    assert not re.search(r"url\(|@import|https?://", html)


def test_a_page_tells_nobody_where_the_images_lie(html: str, drawn: Path, labelled_path: Path) -> None:
    assert str(drawn.parent) not in html
    assert str(labelled_path.parent) not in html
    assert 'title="test/warm/1.png"' in html


def test_every_picture_and_chart_has_words(html: str) -> None:
    found = Reader(html)
    assert len(found.alts) == len(found.pictures)
    assert len([alt for alt in found.alts if not alt]) == 1  # the sheet of the map, whose words stand beside it
    charts = re.findall(r'<svg class="(?:chart|scatter)"[^>]*>', html)
    assert len(charts) == 3  # sizes, few labels, map
    assert all(re.search(r'role="img" aria-label="[^"]{20,}"', chart) for chart in charts)


def test_the_map_has_a_mark_a_picture_and_words_for_each_item(html: str, made: Report) -> None:
    found = made.figures.map
    assert found is not None
    titles = re.findall(r"<title>([^<]*)</title></[cp]", html, re.DOTALL)
    names = ["/".join(item.path.split("/")[-3:]) for item in found.items]
    assert titles == [f"{item.label}\n{name}" for item, name in zip(found.items, names, strict=True)]
    sheet = Reader(html).pictures[-1]
    assert sheet.size == (40 * TILE, TILE)
    x, y = (float(v) for v in re.findall(r'data-x="([\d.]+)" data-y="([\d.]+)"', html)[0])
    assert 0 < x < 720
    assert 0 < y < 720


def test_of_very_many_classes_the_map_marks_the_most_frequent(made: Report) -> None:
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
    assert html.count("<button") == 40
    assert html.count('class="point none"') == 10  # nine of other classes, one without a label
    assert "other classes <small>9</small>" in html
    looks = set(re.findall(r'<(circle|path) class="point (c\d)"[^>]*?( d="M[\d. -]+[a-z])?', html))
    assert len({colour for _, colour, _ in looks}) == 10


def test_an_image_that_cannot_be_opened_leaves_a_tile(copied: FeatureStore, tmp_path: Path) -> None:
    source = draw_source(tmp_path / "source")
    store = FeatureStore.open(
        tmp_path / "own.store", copied.path / "encoders" / next((copied.path / "encoders").iterdir()).name
    )
    store.index(source, labels="folders")
    whole = written(store, tmp_path / "whole.html")
    (source / "test/leaf/0.png").unlink()
    (source / "test/warm/1.png").write_bytes(b"no picture")
    found = written(store, tmp_path / "report.html")
    assert "cannot be opened" not in whole
    assert 'title="no such file, or it has vanished">cannot be opened' in found
    assert 'title="not an image, or of a format without a decoder here">cannot be opened' in found
    assert section_names(found) == section_names(whole)


def test_a_sheet_has_a_grey_tile_for_what_cannot_be_opened(made: Report) -> None:
    found = made.figures.map
    assert found is not None
    items = found.items[:3]
    known: dict[int, Image.Image | str] = {
        items[0].id: "gone",
        items[1].id: Image.new("RGB", (30, 10), (255, 0, 0)),
        items[2].id: Image.new("RGB", (64, 64), (0, 0, 255)),
    }
    pixels = np.asarray(Pictures(known).sheet(items, columns=2))
    middle = TILE // 2
    grey = tuple(int(GREY[at : at + 2], 16) for at in (1, 3, 5))
    assert pixels.shape == (2 * TILE, 2 * TILE, 3)
    assert [tuple(map(int, pixels[y, x])) for y, x in ((middle, middle), (middle, 3 * middle), (3 * middle, middle))] == [
        grey, (255, 0, 0), (0, 0, 255),
    ]  # fmt: skip


def test_pictures_are_small(html: str) -> None:
    assert max(max(p.size) for p in Reader(html).pictures[:-1]) <= SIDE
    assert len(html) < 400_000


def test_what_labels_and_names_hold_is_shown_and_not_obeyed(tmp_path: Path, encoder: Path) -> None:
    source = tmp_path / "source"
    for at, colour in enumerate(COLOURS.values()):
        for split in ("train", "test"):
            for n in range(2):
                red, green, blue = (max(0, c - n) for c in colour)
                paint(source / split / f"<i>{at}" / f'"{n}" onload=alert(1) <u>.png', (red, green, blue))
    store = FeatureStore.open(tmp_path / "<script>evil.store", encoder)
    store.index(source, labels="folders")
    rows = store.sql("SELECT id, label FROM items").to_pylist()
    given = {"id": [r["id"] for r in rows], "label": [EVIL[int(r["label"][3:])] for r in rows]}
    pq.write_table(pa.table(given), tmp_path / "evil.parquet")
    store.label(tmp_path / "evil.parquet")
    found = written(store, tmp_path / "report.html")
    reader = Reader(found)  # which refuses handlers, and pictures from elsewhere
    assert reader.tags.count("script") == 1
    assert not {"b", "i", "u"} & set(reader.tags)
    assert {"<b>bold</b>", "</script><script>alert(1)</script>", "a|b`c*d\\x1b[31m"} <= set(reader.texts)
    text = written(store, tmp_path / "report.md")
    assert "\x1b" not in text
    assert not re.search(r"(?<!\\)[<`*]b", text)
    assert r"a\|b\`c\*d" in text


def test_a_page_without_labels_says_how_to_get_them(tmp_path: Path, encoder: Path, drawn: Path) -> None:
    store = FeatureStore.open(tmp_path / "plain.store", encoder)
    store.index(drawn)
    found = written(store, tmp_path / "report.html")
    assert section_names(found) == ["collection", "no-labels", "neighbours", "map", "without-labels"]
    assert "featurestore label STORE FILE.csv" in found
    assert "no label" in found


def test_the_text_holds_the_tables_of_the_page(made: Report, tmp_path: Path) -> None:
    found = made.save(tmp_path / "report.md").read_text(encoding="utf-8")
    assert made.figures.knn is not None
    [first, *_] = made.figures.knn.results
    interval = f"{100 * first.top1_ci95[0]:.1f}\u2013{100 * first.top1_ci95[1]:.1f}"
    assert f"| 10 | 0.07 | {100 * first.top1:.1f} | {interval} | 100.0 |" in found.splitlines()
    assert "| warm | leaf | 1 |" in found.splitlines()
    assert [line for line in found.splitlines() if line.startswith("## ")][:2] == [
        "## The collection",
        "## k-NN classification",
    ]
    assert "<" not in found.replace("\\<", "")
    heads = [line for line in found.splitlines() if re.fullmatch(r"\|( ---:? \|)+", line)]
    assert len(heads) >= 8


def test_json_holds_all_figures_under_the_keys_that_are_told(labelled: FeatureStore, tmp_path: Path) -> None:
    found = json.loads(written(labelled, tmp_path / "report.json", seed=4))
    told = re.findall(r"^\| `(\w+)` \|", (Path(__file__).parents[3] / "docs" / "report.md").read_text(), re.MULTILINE)
    assert list(found) == told
    assert found["knn"] == json.loads(json.dumps(labelled.knn(seed=4).to_json()))
    assert found["seed"] == 4
    assert len(found["map"]["points"]) == 30
    assert set(found["map"]["points"][0]) == {"id", "label", "x", "y"}
    assert set(found["neighbours"][0]) == {"query", "neighbours"}
    assert found["training"] is None


# -- files and the command


def test_a_report_is_written_whole_or_not_at_all(made: Report, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "report.html"
    file.write_text("yesterday's")

    def full(self: Path, *arguments: object, **options: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    with pytest.raises(DiskError, match=r"report\.html could not be written \(No space left on device\)"):
        made.save(file)
    assert file.read_text() == "yesterday's"
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


def test_a_name_that_tells_no_form_is_refused(made: Report, tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"report '.*report\.pdf': expected a file name that ends in \.html, \.md or \.json"
    ):
        made.save(tmp_path / "report.pdf")
    assert made.save(tmp_path / "report.txt", "md").read_text().startswith("# colours of 2026")


def test_the_files_beside_the_code_are_installed_with_it() -> None:
    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())
    assert {"rendering/templates/*", "report/templates/*"} <= set(
        project["tool"]["setuptools"]["package-data"]["featurestore"]
    )


def test_the_command_writes_and_says_what_is_missing(run: Run, labelled_path: Path, tmp_path: Path) -> None:
    status, out, err = run("report", labelled_path, "--out", tmp_path / "report.md")
    assert (status, err) == (0, "")
    assert re.fullmatch(r"report of 30 images written to .*report\.md, 0\.0 MB\n", out)
    told = answer(run, "report", labelled_path, "--out", tmp_path / "report.html", "--format", "json", "--seed", "2")
    assert json.loads((tmp_path / "report.html").read_text())["seed"] == 2
    assert told == {
        "file": str(tmp_path / "report.html"), "bytes": (tmp_path / "report.html").stat().st_size, "missing": {},
    }  # fmt: skip


def test_the_command_names_what_is_wrong(run: Run, labelled_path: Path, tmp_path: Path) -> None:
    status, _, err = run("report", labelled_path, "--out", tmp_path / "report.html", "--run", tmp_path)
    assert status == 1
    assert "expected the folder of a training run" in err
    assert not (tmp_path / "report.html").exists()
    status, _, err = run("report", labelled_path, "--out", tmp_path / "absent" / "report.html")
    assert (status, "expected a name such as report.html in an existing folder" in err) == (1, True)


# -- the curves of a run


def run_folder(folder: Path, lines: list[dict[str, Any]]) -> Path:
    folder.mkdir()
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return folder


def test_the_curves_of_a_run_are_shown(labelled: FeatureStore, tmp_path: Path, encoder: Path) -> None:
    lines = [{"epoch": n, "loss": 5 / n, "lr": 0.1, "rankme": None if n == 1 else 3.0 * n} for n in (1, 2, 3)]
    folder = run_folder(tmp_path / "run<1>", lines)
    shutil.copy(encoder, folder / "encoder.onnx")
    found = written(labelled, tmp_path / "report.html", run=folder)
    assert section_names(found)[-1] == "training"
    assert found.count('<svg class="chart"') == 2 + 3
    assert "run&lt;1&gt;" in found
    assert "not the file that made" not in found
    text = written(labelled, tmp_path / "report.md", run=folder)
    assert "| 2 | 2.5 | 0.1 | 6 |" in text


def test_a_run_with_another_encoder_is_told(labelled: FeatureStore, tmp_path: Path, other_encoder: Path) -> None:
    folder = run_folder(tmp_path / "run", [{"epoch": 1, "loss": 5.0}])
    shutil.copy(other_encoder, folder / "encoder.onnx")
    assert "not the file that made these vectors" in written(labelled, tmp_path / "report.md", run=folder)


def test_a_run_whose_last_line_was_cut_off_by_a_crash_has_its_other_epochs(
    labelled: FeatureStore, tmp_path: Path
) -> None:
    folder = run_folder(tmp_path / "run", [{"epoch": 1, "loss": 5.0}, {"epoch": 2, "loss": 2.5}])
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"epoch": 3, "lo')
    assert "| 2 | 2.5 |" in written(labelled, tmp_path / "report.md", run=folder)


@pytest.mark.parametrize("content", ["", "no json", '{"loss": 1}', "[1]", "\xff"])
def test_a_folder_that_is_no_run_is_named(labelled: FeatureStore, tmp_path: Path, content: str) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "metrics.jsonl").write_bytes(content.encode("latin-1"))
    with pytest.raises(ConfigError, match=r"expected .*metrics\.jsonl"):
        report(labelled, run=tmp_path / "run")
