"""Names of strangers in every page and picture: each page has the tags, scripts and styles that it has with tame names, and loads nothing."""

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from featurestore import FeatureStore
from tests.featurestore.attacks.html_structure import SCHEMES, Structure
from tests.featurestore.attacks.nasty_names import FORBIDDEN, LONG, NASTY, printed
from tests.featurestore.attacks.nasty_store import COLUMN, NASTY_NAMES, TAME_NAMES, make_store
from tests.featurestore.search.test_results import matches

PAGES = (
    "hits.html",
    "report.html",
    "notebook.html",
    "clusters.html",
    "notebook-findings.html",
    "report.md",
    "report.json",
)
CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory, encoder: Path) -> dict[str, dict[str, Path]]:
    """Every page of a store with nasty names, and of one with tame names."""
    found = {}
    for kind, names, column in (("nasty", NASTY_NAMES, COLUMN), ("tame", TAME_NAMES, "encoder")):
        folder = tmp_path_factory.mktemp(kind)
        store = FeatureStore.open(make_store(folder, encoder, names, column))
        hits = store.search(folder / "photos" / "001.png", k=2 * len(names), with_self=True)
        hits.html(folder / "hits.html")
        hits.sheet(folder / "hits.png")
        (folder / "notebook.html").write_text(hits._repr_html_(), encoding="utf-8")
        clusters = store.clusters(2)
        clusters.html(folder / "clusters.html")
        clusters.sheet(folder / "clusters.png")
        (folder / "notebook-findings.html").write_text(clusters._repr_html_(), encoding="utf-8")
        report = store.report(map="pca")
        for suffix in ("html", "md", "json"):
            report.save(folder / f"report.{suffix}")
        found[kind] = {name: folder / name for name in PAGES}
    return found


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name in PAGES if name.endswith("html")])
def test_a_page_has_the_structure_that_it_has_with_tame_names(pages: dict[str, dict[str, Path]], name: str) -> None:
    nasty, tame = (Structure(pages[kind][name].read_text(encoding="utf-8")) for kind in ("nasty", "tame"))
    assert nasty.tags == tame.tags
    assert nasty.code == tame.code
    assert [unsafe for text in nasty.texts for unsafe in printed(text)] == []
    assert [url for url in nasty.urls if not url.startswith(SCHEMES)] == []
    assert any("\\x1b[" in text for text in nasty.texts)  # the names are there, as text
    if not name.startswith("notebook"):
        [policy] = [
            text for text in nasty.texts if text.startswith("default-src 'none'; base-uri 'none'; form-action 'none'")
        ]
        assert "http" not in policy


@pytest.mark.slow
def test_a_report_in_markdown_has_the_lines_that_it_has_with_tame_names(pages: dict[str, dict[str, Path]]) -> None:
    nasty, tame = (pages[kind]["report.md"].read_text(encoding="utf-8").split("\n") for kind in ("nasty", "tame"))
    assert [_shape(line) for line in nasty] == [_shape(line) for line in tame]
    assert printed("\n".join(nasty)) == []


def _shape(line: str) -> tuple[int, str]:
    """How many cells a line of Markdown has, and what is markup in it."""
    plain = line.replace("\\\\", "").replace("\\|", "")
    return plain.count("|"), "".join(
        letter for place, letter in enumerate(plain) if letter in "<>[]`$#" and plain[place - 1] != "\\"
    )


@pytest.mark.slow
def test_a_report_in_json_gives_every_name_back(pages: dict[str, dict[str, Path]]) -> None:
    report = json.loads(pages["nasty"]["report.json"].read_text(encoding="utf-8"))
    assert set(report["collection"]["labels"]) == set(NASTY_NAMES)
    assert {point["label"] for point in report["map"]["points"]} == set(NASTY_NAMES)
    assert report["encoder"]["name"] == COLUMN


def test_a_sheet_and_a_page_take_any_label(tmp_path: Path) -> None:
    found = replace(matches(list(NASTY.values())), labels=[LONG, *list(NASTY.values())[1:]])
    with Image.open(found.sheet(tmp_path / "hits.png")) as sheet:
        assert sheet.width == 1044
    page = found.html(tmp_path / "hits.html").read_text(encoding="utf-8")
    assert len(page) < 1_000_000
    assert FORBIDDEN.search(page) is None


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    webdriver = pytest.importorskip("selenium.webdriver")
    if CHROMIUM is None or DRIVER is None:
        pytest.skip("needs chromium and chromedriver")
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    started = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield started
    started.quit()


@pytest.mark.browser
@pytest.mark.parametrize("name", [name for name in PAGES if name.endswith("html")])
def test_a_browser_runs_nothing_of_a_name_and_asks_for_nothing(
    browser: Any, pages: dict[str, dict[str, Path]], name: str
) -> None:
    page = pages["nasty"][name].as_uri()
    browser.get(page)
    browser.execute_script(
        "for (const tag of document.querySelectorAll(':not(a)')) for (const kind of ['mouseover', 'click', 'error', 'load']) tag.dispatchEvent(new Event(kind))"
    )
    assert "pwned" not in browser.title
    assert browser.title != "1"
    assert browser.get_log("browser") == []
    sent = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    asked = [event["params"]["request"]["url"] for event in sent if event["method"] == "Network.requestWillBeSent"]
    assert {url for url in asked if not url.startswith("data:image/jpeg")} == {page}
