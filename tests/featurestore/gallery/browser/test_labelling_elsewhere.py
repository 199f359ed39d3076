"""Labelling in Browse, Search and the large view; and how all of it looks."""

import itertools

import pytest

from featurestore import FeatureStore, curation
from tests.featurestore.gallery.browser.labelling import AWKWARD, TOTAL, Labelling, given
from tests.featurestore.gallery.browser.seen import DESK, PHONE
from tests.featurestore.gallery.browser.test_looks import OVERFLOWING
from tests.featurestore.report.test_seen import CONTRASTS, READABLE


def chosen_three(page: Labelling) -> None:
    page.press("SPACE", "ARROW_RIGHT", "SPACE", "ARROW_RIGHT", "SPACE")
    assert page.text(".choice span") == "3 pictures chosen"


def captions(page: Labelling) -> list[str]:
    found: list[str] = page.js(
        "return [...document.querySelectorAll('.tile .words')].slice(0, 5).map((w) => w.textContent)"
    )
    return found


def test_chosen_pictures_are_labelled_as_one_change_and_undone_by_the_message(page: Labelling) -> None:
    chosen_three(page)
    page.press("l")
    page.write("rose")
    page.until("return document.querySelector('.labelbox .note').textContent === 'Enter makes the new class rose.'")
    page.press("ENTER")
    page.until("return document.querySelector('[role=status] .toast bdi')?.textContent === '3 labelled as rose'")
    assert captions(page) == ["rose", "rose", "rose", "003.png", "004.png"]
    assert page.js("return document.querySelector('.choice')") is None
    page.saved()
    assert page.labels() == {1: "rose", 2: "rose", 3: "rose"}
    page.click_name("Undo")
    page.until("return document.querySelector('.tile .words').textContent === '000.png'")
    page.saved()
    assert page.labels() == {}


def test_the_one_with_the_focus_is_labelled_by_completion(page: Labelling) -> None:
    given(page, {7: "tulip", 8: "tulip", 9: "tuba"})
    page.open()
    page.press("ARROW_RIGHT", "l")
    page.write("tu")
    page.until("return document.querySelectorAll('.labelbox li').length === 2")
    page.press("ARROW_DOWN", "ARROW_DOWN")
    page.until("return document.querySelector('.labelbox [aria-selected=true] bdi')?.textContent === 'tulip'")
    page.press("ENTER")
    page.saved()
    assert page.labels()[2] == "tulip"
    page.press("z")
    page.until("return document.querySelectorAll('.tile .words')[1].textContent === '001.png'")
    page.press("l")
    page.write("tu")
    page.click(".labelbox li", 0)
    page.until("return document.querySelectorAll('.tile .words')[1].textContent === 'tuba'")
    page.press("l")
    page.write("tu")
    page.press("ENTER")
    page.until("return document.querySelectorAll('.tile .words')[1].textContent === 'tu'")
    page.press("l", "ESCAPE")
    page.once(lambda: not page.js("return document.querySelector('dialog')"))
    assert page.js("return document.activeElement.className") == "scroller"


def test_hits_of_a_search_are_labelled_by_mouse(page: Labelling) -> None:
    page.open("?view=search&query=1")
    page.until("return document.querySelectorAll('.tile:not(.waiting)').length > 5")
    page.click(".tile", 0, held="CONTROL")
    page.click(".tile", 1, held="CONTROL")
    page.click_name("Label")
    page.write("rose")
    page.press("ENTER")
    page.until("return document.querySelector('[role=status] .toast bdi')?.textContent === '2 labelled as rose'")
    assert captions(page)[:2] == ["rose", "rose"]
    page.saved()
    assert len(page.labels()) == 2


def test_the_picture_that_is_shown_large_is_labelled(page: Labelling) -> None:
    page.press("ENTER")
    page.until("return document.querySelector('.facts .none')?.textContent === 'none'")
    page.click_name("Label")
    page.write("rose")
    page.press("ENTER")
    page.until("return document.querySelector('.facts dd bdi').textContent === 'rose'")
    page.saved()
    assert page.labels() == {1: "rose"}
    page.press("ESCAPE")
    page.until("return document.querySelector('.tile .words').textContent === 'rose'")


def test_what_this_page_changes_is_not_said_to_be_changed_by_others(page: Labelling) -> None:
    page.label()
    page.make("rose")
    page.saved()
    page.js("document.dispatchEvent(new Event('visibilitychange'))")
    page.press("g", "b")
    page.count(f"{TOTAL} pictures")
    page.js("return new Promise((resolve) => setTimeout(resolve, 2500))")
    page.js("document.dispatchEvent(new Event('visibilitychange'))")
    page.js("return new Promise((resolve) => setTimeout(resolve, 500))")
    assert page.js("return [...document.querySelectorAll('.toast bdi')].map((t) => t.textContent)") == []


def test_on_a_phone_the_classes_are_beneath_the_picture(page: Labelling) -> None:
    page.screen(PHONE, ratio=2)
    page.label()
    page.make("rose")
    boxes = page.js(
        "return ['.one', '.classes', '.learning'].map((s) => { const b = document.querySelector(s).getBoundingClientRect(); return [b.top, b.bottom, b.left, b.right]; })"
    )
    assert boxes[0][1] <= boxes[1][0] + 1
    assert boxes[1][1] <= boxes[2][0] + 20
    assert all(0 <= left < right <= PHONE[0] for _, _, left, right in boxes)
    page.click(".classes .class")
    page.saved()
    assert len(page.labels()) == 2


@pytest.mark.parametrize(("size", "scheme"), list(itertools.product((DESK, PHONE), ("light", "dark"))), ids=str)
def test_all_fits_and_all_text_can_be_read(page: Labelling, size: tuple[int, int], scheme: str) -> None:
    store = FeatureStore.open(page.store)
    report = curation.suggest(store, 60)
    curation.keep_columns(store, report)
    names = [*AWKWARD, *(f"class {number}" for number in range(40))]
    given(page, {item.id: names[place % len(names)] for place, item in enumerate(report.items)})
    page.screen(size, scheme, ratio=2 if size == PHONE else 1, motion="reduce")
    page.label()
    page.until("return document.querySelector('.curve') !== null && document.querySelector('.guess') !== null")
    page.press("1", "SPACE", "n")
    page.write("class 1")
    page.click(".classes .key", 1)
    with page.offline():
        page.press("ESCAPE", "2")
        page.until("return document.querySelector('.saving.trouble') !== null")
        page.js("document.querySelector('.classes .key').click()")
        page.until("return document.querySelector('.new-key') !== null")
        width = page.js("return document.querySelector('.saving').offsetWidth")
        assert width > 300
        assert page.js("return document.documentElement.scrollWidth <= innerWidth")
        assert page.js(OVERFLOWING) == []
        found = [entry for entry in page.js(CONTRASTS) if entry[0] < READABLE]
        assert found == []
        small = page.js(
            "return [...document.querySelectorAll('button, a, select')].filter((e) => e.checkVisibility()).map((e) => [e.textContent || e.ariaLabel, e.offsetWidth, e.offsetHeight]).filter(([, w, h]) => Math.min(w, h) < 24)"
        )
        assert small == []
        page.press("ESCAPE")
    page.saved()
