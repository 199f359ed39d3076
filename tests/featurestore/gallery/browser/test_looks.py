"""How the page looks: on a desk and a phone, in light and dark."""

import itertools
import time

import pytest

from tests.featurestore.gallery.browser.seen import DESK, PHONE, Seen
from tests.featurestore.report.test_seen import CONTRASTS, READABLE

VIEWS = {
    "browse": ("", "document.querySelector('.tile:not(.waiting)')"),
    "search": ("?view=search&query=1,-9&above=0.1", "document.querySelector('.example img')"),
    "start": ("?view=search", "document.querySelector('.start')"),
    "detail": ("?item=126&at=125", "document.querySelector('.facts')"),
    "error": ("?where=labl+%3D+3", "document.querySelector('#where-error bdi')"),
    "filters": ("?is.label=rose", "document.querySelector('.filters .chip')"),
    "keys": ("", "document.querySelector('.help')"),
    "label": ("?view=label&queue=unlabelled", "document.querySelector('.one img')"),
    "predictions": ("?view=label&queue=predictions", "document.querySelector('.of select')"),
    "labelbox": ("", "document.querySelector('.labelbox li')"),
}
PRESSED = {"filters": "f", "keys": "?", "labelbox": "l"}
OVERFLOWING = """
return [...document.querySelectorAll('body *')].filter((e) => e.checkVisibility() && !e.closest('.examples, .spoken, svg, .tile, .strip') && e.getBoundingClientRect().right > innerWidth + 1)
  .map((e) => e.outerHTML.slice(0, 100));
"""


@pytest.mark.parametrize("view", VIEWS)
@pytest.mark.parametrize(("size", "scheme"), list(itertools.product((DESK, PHONE), ("light", "dark"))), ids=str)
def test_all_fits_and_all_text_can_be_read(seen: Seen, view: str, size: tuple[int, int], scheme: str) -> None:
    seen.screen(size, scheme, ratio=2 if size == PHONE else 1)
    query, there = VIEWS[view]
    seen.open(query)
    if view in PRESSED:
        seen.press(PRESSED[view])
    seen.until(f"return {there} !== null")
    assert seen.js("return document.documentElement.scrollWidth <= innerWidth")
    assert seen.js(OVERFLOWING) == []
    found = [entry for entry in seen.js(CONTRASTS) if entry[0] < READABLE]
    assert found == []


def test_nothing_moves_for_those_who_want_it_so(seen: Seen) -> None:
    def moves() -> bool:
        return bool(
            seen.js(
                "return [...document.querySelectorAll('*')].some((e) => parseFloat(getComputedStyle(e).transitionDuration) > 0 || getComputedStyle(e).animationName !== 'none')"
            )
        )

    assert moves()
    seen.screen(motion="reduce")
    assert not moves()


def test_targets_are_large_enough_for_a_finger(seen: Seen) -> None:
    seen.screen(PHONE, ratio=2)
    seen.open("?view=search&query=1")
    small = seen.js(
        "return [...document.querySelectorAll('button, a, select')].filter((e) => e.checkVisibility()).map((e) => [e.textContent || e.ariaLabel, e.offsetWidth, e.offsetHeight]).filter(([, w, h]) => Math.min(w, h) < 24)"
    )
    assert small == []


def test_nothing_leaves_the_machine(seen: Seen) -> None:
    seen.open("?view=search&query=1")
    addresses = seen.js("return performance.getEntriesByType('resource').map((e) => e.name)")
    assert len(addresses) > 20
    assert [address for address in addresses if not address.startswith(seen.root)] == []


def test_the_first_page_comes_soon(seen: Seen) -> None:
    best = 10.0
    for _ in range(5):
        began = time.monotonic()
        seen.browser.get(seen.root)
        seen.until("return document.querySelectorAll('.tile:not(.waiting)').length > 20")
        best = min(best, time.monotonic() - began)
    assert best < 1.5  # half a second is the target where nothing else runs
