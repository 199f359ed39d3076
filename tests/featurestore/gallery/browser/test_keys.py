"""Keys: all can be done by them, and they leave text fields alone."""

from tests.featurestore.gallery.browser.conftest import TOTAL
from tests.featurestore.gallery.browser.seen import Seen

FOCUSED = """
const e = document.activeElement; const s = getComputedStyle(e); const box = e.closest('.box');
const ring = (style) => style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
const tile = e.matches('.scroller') ? document.querySelector('.tile.active .frame') : null;
return [e.ariaLabel ?? e.textContent.trim().slice(0, 30), ring(s) || (box !== null && ring(getComputedStyle(box))) || (tile !== null && ring(getComputedStyle(tile)))];
"""


def test_tab_reaches_every_control_and_the_focus_is_seen(seen: Seen) -> None:
    reached = []
    for _ in range(12):
        seen.press("TAB")
        reached.append(tuple(seen.js(FOCUSED)))
    assert [name for name, ring in reached if not ring] == []
    assert [name for name, _ in reached[:6]] == ["Browse", "Search", "Label", "Keys", "Condition (SQL)", "Filters"]
    assert reached[-1][0] == "Pictures"


def test_keys_do_nothing_in_a_text_field(seen: Seen) -> None:
    seen.press("/")
    seen.write("m n f ? + -")
    assert seen.js("return document.querySelector('.where input').value") == "m n f ? + -"
    assert seen.query == ""
    assert seen.js("return document.querySelector('dialog, .filters')") is None
    seen.press("ESCAPE")
    assert seen.js("return [document.activeElement.className, document.querySelector('.where input').value]") == [
        "scroller",
        "",
    ]
    seen.count(f"{TOTAL} pictures")


def test_keys_with_control_are_the_browsers(seen: Seen) -> None:
    seen.press("CONTROL+m", "CONTROL+f")
    assert seen.query == ""
    assert seen.js("return document.querySelector('.filters')") is None


def test_a_button_keeps_its_own_keys(seen: Seen) -> None:
    seen.js("document.querySelector('.filter-button').focus()")
    seen.press("SPACE")
    seen.until("return document.querySelector('.filters') !== null")
    assert seen.js("return document.querySelector('.choice')") is None


def test_the_list_of_keys(seen: Seen) -> None:
    seen.press("?")
    words = seen.until("return document.querySelector('.help')?.innerText")
    assert "More like this" in words
    assert "Choose a range" in words
    seen.press("m")
    assert seen.query == ""  # what lies beneath a window hears no keys
    seen.press("ESCAPE")
    seen.once(lambda: not seen.js("return document.querySelector('dialog')"))
    assert seen.js("return document.querySelector('dialog')") is None
    seen.click_name("Keys")
    seen.until("return document.querySelector('.help') !== null")
    seen.click_name("Close")
    seen.once(lambda: not seen.js("return document.querySelector('dialog')"))
    assert seen.js("return document.activeElement.ariaLabel") == "Keys"


def test_from_view_to_view(seen: Seen) -> None:
    seen.press("g", "s")
    seen.until("return document.querySelector('.start') !== null")
    assert seen.js("return document.querySelector('[aria-current=page]').textContent") == "Search"
    seen.press("g", "b")
    seen.count(f"{TOTAL} pictures")
    seen.click("nav a", 1)
    seen.until("return document.querySelector('.start') !== null")
