"""The page as it is seen: drawn by Chromium in light and dark, on a desk and on a phone.

Run by `make test-browser`; left out where Chromium, its driver or Selenium is not installed.
"""

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from featurestore import FeatureStore
from featurestore.report.confusion import BRIGHT
from tests.featurestore.report.conftest import report
from tests.featurestore.report.test_page import SECTIONS
from tests.featurestore.report.test_report import run_folder

webdriver = pytest.importorskip("selenium.webdriver")
WebDriverWait = pytest.importorskip("selenium.webdriver.support.wait").WebDriverWait
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(CHROMIUM is None or DRIVER is None, reason="needs chromium and chromedriver"),
]

WIDTHS = {"desk": 1280, "phone": 375}
READABLE = 4.5  # contrast of text, WCAG 2.1 AA
KEYS = {"Enter": 13, "Escape": 27, "ArrowRight": 39}

CONTRASTS = """
const parse = (colour) => {
  const canvas = parse.canvas ??= new OffscreenCanvas(1, 1).getContext("2d", {willReadFrequently: true});
  canvas.clearRect(0, 0, 1, 1); canvas.fillStyle = colour; canvas.fillRect(0, 0, 1, 1);
  const [r, g, b, a] = canvas.getImageData(0, 0, 1, 1).data;
  return [r, g, b, a / 255];
};
const over = (top, below) => [0, 1, 2].map((i) => top[i] * top[3] + below[i] * (1 - top[3]));
const behind = (element) => element === null ? [255, 255, 255] : over(parse(getComputedStyle(element).backgroundColor), behind(element.parentElement));
const light = (rgb) => rgb.map((v) => v / 255).map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
  .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
const found = [];
const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
while (walk.nextNode()) {
  const element = walk.currentNode.parentElement;
  if (!walk.currentNode.data.trim() || element.closest("script, title, .name") || !element.checkVisibility()) continue;
  const style = getComputedStyle(element);
  const colour = element.closest("svg") ? style.fill : style.color;
  const below = behind(element);
  const [a, b] = [light(over(parse(colour), below)), light(below)].sort((x, y) => y - x);
  found.push([(a + 0.05) / (b + 0.05), walk.currentNode.data.trim(), colour, String(below.map(Math.round))]);
}
return found.sort((x, y) => x[0] - y[0]);
"""

TONES = """
const row = document.querySelector(".heat tbody tr");
for (const kind of ["right", "wrong"]) {
  for (let share = 0; share <= 50; share++) {
    const cell = row.insertCell();
    cell.className = kind + (share / 50 >= arguments[0] ? " bright" : "");
    cell.style.setProperty("--share", share / 50);
    cell.textContent = "tone";
  }
}
"""


@pytest.fixture(scope="module")
def page(labelled: FeatureStore, tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("seen")
    run = run_folder(folder / "run", [{"epoch": n, "loss": 5 / n, "rankme": 3.0 + n} for n in (1, 2, 3)])
    return report(labelled, run=run).save(folder / "report.html").as_uri()


@pytest.fixture(scope="module")
def started() -> Iterator[Any]:
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--force-device-scale-factor=1"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    browser = webdriver.Chrome(options=options, service=webdriver.ChromeService(DRIVER))
    yield browser
    browser.quit()


def look(browser: Any, page: str, width: int, scheme: str = "light") -> None:
    """Open the page as on a screen of some width, as narrow as no window of a desk can be."""
    screen = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    features = [{"name": "prefers-color-scheme", "value": scheme}]
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})
    browser.get(page)


@pytest.fixture(params=[(name, scheme) for name in WIDTHS for scheme in ("light", "dark")], ids="-".join)
def browser(started: Any, page: str, request: pytest.FixtureRequest) -> Any:
    name, scheme = request.param
    look(started, page, WIDTHS[name], scheme)
    return started


def test_nothing_is_complained_of(browser: Any) -> None:
    assert browser.get_log("browser") == []


def test_nothing_reaches_beyond_the_edge(browser: Any) -> None:
    seen, needed = browser.execute_script(
        "return [document.documentElement.clientWidth, document.documentElement.scrollWidth]"
    )
    assert needed <= seen
    beyond = browser.execute_script(
        "return [...document.querySelectorAll('section > *, header > *')].filter((e) => e.getBoundingClientRect().right > innerWidth + 1).map((e) => e.outerHTML.slice(0, 80))"
    )
    assert beyond == []


def test_every_section_has_its_place(browser: Any) -> None:
    boxes = browser.execute_script(
        "return [...document.querySelectorAll('section')].map((s) => [s.id, s.getBoundingClientRect().width, s.getBoundingClientRect().height])"
    )
    assert [name for name, _, _ in boxes] == [*SECTIONS[:-1], "training", SECTIONS[-1]]
    assert all(width > 300 and height > 100 for _, width, height in boxes)
    charts = browser.execute_script(
        "return [...document.querySelectorAll('svg.chart, svg.scatter')].map((s) => [s.getBoundingClientRect().width, s.getBoundingClientRect().height])"
    )
    assert len(charts) == 5
    assert all(width > 200 and height > 100 for width, height in charts)


def test_every_picture_is_decoded(browser: Any) -> None:
    widths = browser.execute_script("return [...document.images].map((i) => i.complete ? i.naturalWidth : 0)")
    assert len(widths) > 100
    assert min(widths) > 0


def test_all_text_can_be_read(browser: Any) -> None:
    browser.execute_script("for (const d of document.querySelectorAll('details')) d.open = true")
    found = browser.execute_script(CONTRASTS)
    assert len(found) > 300
    assert [entry for entry in found if entry[0] < READABLE] == []


def test_numbers_of_the_matrix_can_be_read_on_every_tone(browser: Any) -> None:
    browser.execute_script(TONES, BRIGHT)
    found = browser.execute_script(CONTRASTS)
    assert sum(text == "tone" for _, text, *_ in found) == 102
    assert [entry for entry in found if entry[0] < READABLE] == []


def test_text_of_charts_is_large_enough(browser: Any) -> None:
    sizes = browser.execute_script(
        "return [...document.querySelectorAll('.chart text')].map((t) => parseFloat(getComputedStyle(t).fontSize) * t.ownerSVGElement.getScreenCTM().a)"
    )
    assert len(sizes) > 30
    assert min(sizes) >= 10  # pixels


def enlarged(browser: Any) -> str:
    """What is enlarged: the words below it, checked against the picture; empty when nothing is."""
    words: str = browser.execute_script(
        "const d = document.querySelector('.enlarged'); if (!d.open) return '';"
        "const i = d.querySelector('img'), b = i.getBoundingClientRect();"
        "return i.src.startsWith('data:') && b.width > 200 && b.left >= 0 && b.right <= innerWidth && b.bottom <= innerHeight"
        " && i.alt === d.querySelector('p').textContent ? i.alt : ''"
    )
    return words


def press(browser: Any, key: str) -> None:
    event = {"key": key, "code": key, "windowsVirtualKeyCode": KEYS[key]} | ({"text": "\r"} if key == "Enter" else {})
    for kind in ("keyDown", "keyUp"):
        browser.execute_cdp_cmd("Input.dispatchKeyEvent", {"type": kind} | event)


def test_a_picture_is_enlarged_by_keys_alone(browser: Any) -> None:
    alts = browser.execute_script("return [...document.querySelectorAll('.zoom img')].map((i) => i.alt)")
    browser.execute_script("document.querySelectorAll('.zoom')[3].focus()")
    assert enlarged(browser) == ""
    for key, shown in (("Enter", alts[3]), ("ArrowRight", alts[4]), ("Escape", "")):
        press(browser, key)
        WebDriverWait(browser, 5).until(lambda seen, shown=shown: enlarged(seen) == shown)
    assert browser.execute_script("return document.activeElement.querySelector('img').alt") == alts[4]


def point_at(browser: Any, number: int) -> tuple[float, float]:
    """Bring an item of the map to the middle of the screen: where it is then."""
    x, y = browser.execute_script(
        "const p = document.querySelectorAll('.point')[arguments[0]]; p.scrollIntoView({block: 'center', behavior: 'instant'});"
        "const b = p.getBoundingClientRect(); return [b.x + b.width / 2, b.y + b.height / 2]",
        number,
    )
    return x, y


def move(browser: Any, x: float, y: float) -> None:
    browser.execute_cdp_cmd("Input.dispatchMouseEvent", {"type": "mouseMoved", "x": x, "y": y})


def test_the_pointer_over_the_map_brings_the_picture(browser: Any) -> None:
    assert not browser.execute_script("return document.querySelector('.tip').checkVisibility()")
    names = browser.execute_script(
        "return fetch === undefined ? 0 : [...document.querySelectorAll('.point')].map((p) => p.dataset.label)"
    )
    for number in (0, len(names) - 1):
        move(browser, *point_at(browser, number))
        place, words, box, window = browser.execute_script(
            "const tip = document.querySelector('.tip'), i = tip.querySelector('img').getBoundingClientRect(), w = tip.querySelector('.window').getBoundingClientRect();"
            "const b = tip.getBoundingClientRect(); if (!tip.checkVisibility()) return [0, '', [], []];"
            "return [[(w.x - i.x) / w.width, (w.y - i.y) / w.height], tip.querySelector('p').textContent, [b.left, b.right], [w.width, w.height, i.width]]"
        )
        label = browser.execute_script("return document.querySelector('.point.shown').dataset.label")
        assert label == names[number]
        shown = browser.execute_script(
            "return [...document.querySelectorAll('.point')].indexOf(document.querySelector('.point.shown'))"
        )
        assert place == pytest.approx([shown % 40, shown // 40], abs=0.02)
        assert words.split("\n")[0] == ["cold", "leaf", "warm"][int(label)]
        assert 0 <= box[0] < box[1] <= browser.execute_script("return innerWidth")
        assert window == pytest.approx([132, 132, 132 * 40])
    move(browser, 2, 2)
    assert not browser.execute_script("return document.querySelector('.tip').checkVisibility()")


def test_a_press_on_a_label_leaves_its_items_in_colour(browser: Any) -> None:
    press = "document.querySelectorAll('.keys button')[1].click(); return document.querySelectorAll('.point:not(.dimmed)').length"
    assert browser.execute_script(press) == 10
    assert browser.execute_script("return document.querySelectorAll('.keys [aria-pressed=true]').length") == 1
    assert browser.execute_script(press) == 30


def test_without_scripts_all_is_there_but_the_picture(started: Any, page: str) -> None:
    started.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    try:
        look(started, page, 1280)
        tree = started.execute_cdp_cmd("DOMSnapshot.captureSnapshot", {"computedStyles": []})
        texts = tree["strings"]
        assert any("warm\ntest/warm/" in text for text in texts)  # what a browser shows where the pointer rests
        assert "Map of the collection" in texts
    finally:
        started.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
