"""A store of awkward names behind a server in a process of its own, and Chromium in front of it."""

import colorsys
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from featurestore import FeatureStore
from tests.featurestore.fakes import paint

webdriver = pytest.importorskip("selenium.webdriver")
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")

from tests.featurestore.gallery.browser.labelling import Labelling, make_flowers  # noqa: E402 - they need selenium
from tests.featurestore.gallery.browser.seen import Seen  # noqa: E402

PLAIN = 120  # pictures with ordinary names, in four labels
LABELS = ("cold", "leaf", "rose", "warm")
HEBREW = "שלום עולם"
AWKWARD = {  # file name without its ending -> label
    "<img src=x onerror=boom()>": "<script>boom()</script>",
    "quote ' \" ; -- ": 'it\'s "quoted"; -- DROP',
    "\u202egnp.exe": "\u202eevil\u202c after",
    HEBREW: HEBREW,
    "x" * 200: "y" * 200,
    "broken": "broken",
    "unlabelled": None,
}
COLUMN = "<b>odd</b> \"'\u202e column"
CONTROLS = "tab\tnew\nline\x07"  # the value of that column for the second picture
LONG = "z" * 10_000  # the value of that column for the first picture
TOTAL = PLAIN + len(AWKWARD)
ARGUMENTS = (
    "--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--no-first-run", "--blink-settings=primaryHoverType=2,availableHoverTypes=2,primaryPointerType=4,availablePointerTypes=4",
)  # fmt: skip


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.browser)
            if CHROMIUM is None or DRIVER is None:
                item.add_marker(pytest.mark.skip(reason="needs chromium and chromedriver"))


@pytest.fixture(scope="session")
def awkward(tmp_path_factory: pytest.TempPathFactory, encoder: Path) -> FeatureStore:
    """120 pictures of turning hue, then those of awkward names; one file is broken after it was indexed."""
    folder = tmp_path_factory.mktemp("awkward")
    names = [f"{number:03}" for number in range(PLAIN)] + list(AWKWARD)
    for number, name in enumerate(names):
        red, green, blue = (int(255 * part) for part in colorsys.hsv_to_rgb(number / len(names), 0.8, 0.9))
        paint(folder / "pictures" / f"{name}.png", (red, green, blue), size=(48, 96)[number % 2])
    store = FeatureStore.open(folder / "awkward.store", encoder)
    store.index(folder / "pictures")
    labels = {f"{number:03}.png": LABELS[number % len(LABELS)] for number in range(PLAIN)}
    labels |= {f"{name}.png": label for name, label in AWKWARD.items() if label is not None}
    write_lines(folder / "labels.jsonl", [{"path": path, "label": label} for path, label in labels.items()])
    store.label(folder / "labels.jsonl")
    values = [
        {"path": f"{number:03}.png", COLUMN: f"</bdi>{number % 3}\u202e", "rank": number / 8} for number in range(PLAIN)
    ]
    values[0][COLUMN], values[1][COLUMN] = LONG, CONTROLS
    write_lines(folder / "columns.jsonl", values)
    store.annotate(folder / "columns.jsonl")
    (folder / "pictures" / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n nothing more")
    return store


def spelled(text: str) -> str:
    """Text as the page shows it: what hides or reorders is spelled out."""
    return "".join(
        f"\\x{ord(letter):02x}" if letter < " " else f"\\u{ord(letter):04x}" if letter in "\u202e\u202c" else letter
        for letter in text
    )


def write_lines(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")


@contextmanager
def serving(store: Path, cache: Path, *options: str) -> Iterator[str]:
    """Serve a store in a process of its own; gives the address that it printed, with its token."""
    code = "from featurestore.cli import main; main()"
    command = [sys.executable, "-c", code, "serve", str(store), "--port", "0", "--no-browser", *options]
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as server:
        assert server.stdout is not None
        line = server.stdout.readline().strip()
        assert line.startswith("http://127.0.0.1:"), line
        try:
            yield line
        finally:
            server.terminate()


@pytest.fixture(scope="session")
def address(awkward: FeatureStore, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(awkward.path, tmp_path_factory.mktemp("cache")) as line:
        yield line


@pytest.fixture(scope="session")
def window(address: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Seen]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in (*ARGUMENTS, f"--user-data-dir={tmp_path_factory.mktemp('chromium')}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield Seen(browser, address)
    browser.quit()


@pytest.fixture
def seen(window: Seen) -> Iterator[Seen]:
    """The page as it opens, on a desk in light. Nothing may be complained of in the end."""
    window.screen()
    window.browser.get("about:blank")
    window.open()
    window.js("localStorage.clear()")
    window.open()
    window.complaints()
    yield window
    assert window.complaints() == []
    assert window.js("return window.boom === undefined && document.querySelector('[onerror], body script') === null")


@pytest.fixture(scope="session")
def flowers(tmp_path_factory: pytest.TempPathFactory, encoder: Path) -> FeatureStore:
    """72 pictures without labels, for tests that only read."""
    return make_flowers(tmp_path_factory.mktemp("flowers"), encoder)


@pytest.fixture
def page(window: Seen, flowers: FeatureStore, tmp_path: Path) -> Iterator[Labelling]:
    """A server of a copy of the store, and the page, which shows Browse at first."""
    store = tmp_path / "flowers.store"
    shutil.copytree(flowers.path, store)
    with serving(store, tmp_path / "cache") as address:
        page = Labelling(window.browser, address)
        page.store = store
        page.complaints()
        page.open()
        yield page
        assert page.complaints() == []
        assert page.js("return window.boom === undefined && document.querySelector('[onerror], body script') === null")
        page.browser.get("about:blank")
