"""One item large: its picture, its facts, its neighbours in the list."""

from featurestore import FeatureStore
from tests.featurestore.gallery.browser.conftest import AWKWARD, COLUMN, CONTROLS, LONG, TOTAL, spelled
from tests.featurestore.gallery.browser.seen import Seen


def opened(seen: Seen, place: int) -> None:
    seen.until(
        "return document.querySelector('.detail .place')?.textContent === arguments[0]", f"{place + 1} of {TOTAL}"
    )


def closed(seen: Seen) -> None:
    seen.once(lambda: not seen.js("return document.querySelector('dialog')"))
    assert seen.js("return document.querySelector('dialog')") is None


def test_by_keys_there_on_and_back(seen: Seen) -> None:
    seen.press("ARROW_RIGHT", "ENTER")
    opened(seen, 1)
    assert seen.query == "item=2&at=1"
    seen.press("ARROW_RIGHT", "ARROW_RIGHT")
    opened(seen, 3)
    seen.press("ARROW_LEFT")
    opened(seen, 2)
    seen.until(
        "const i = document.querySelector('.picture img'); return i !== null && i.complete && i.naturalWidth === 48 && i.alt === 'rose'"
    )
    seen.press("ESCAPE")
    closed(seen)
    assert seen.query == ""
    assert seen.active() == 2
    assert seen.js("return document.activeElement.className") == "scroller"


def test_by_mouse_there_on_and_back(seen: Seen) -> None:
    seen.click(".tile img", 3)
    opened(seen, 3)
    seen.click_name("The picture before")
    opened(seen, 2)
    seen.click_name("Back to the grid")
    closed(seen)


def test_back_closes_and_forward_opens(seen: Seen) -> None:
    seen.press("ENTER")
    opened(seen, 0)
    seen.browser.back()
    closed(seen)
    seen.browser.forward()
    opened(seen, 0)


def test_an_address_opens_an_item_and_knows_its_neighbours(seen: Seen) -> None:
    seen.open(f"?item={TOTAL}&at={TOTAL - 1}")
    opened(seen, TOTAL - 1)
    assert seen.js("return [...document.querySelectorAll('.detail .bar button')].map((b) => b.disabled)") == [
        False,
        False,
        True,
    ]
    seen.press("ARROW_LEFT")
    opened(seen, TOTAL - 2)
    seen.press("ESCAPE")
    closed(seen)
    assert seen.query == ""


def test_the_facts_of_an_item_are_shown_as_text(seen: Seen, awkward: FeatureStore) -> None:
    for name, label in AWKWARD.items():
        item = awkward.sql("SELECT id FROM items WHERE path LIKE '%/" + f"{name}.png".replace("'", "''") + "'")["id"][
            0
        ].as_py()
        seen.open(f"?item={item}")
        facts = dict(
            seen.until(
                "return [...document.querySelectorAll('.facts > div')].map((d) => [d.querySelector('dt').textContent, d.querySelector('dd').textContent])"
            )
        )
        assert facts["Id"] == str(item)
        assert facts["Label"] == ("none" if label is None else spelled(label))
        assert seen.js(
            "return document.documentElement.scrollWidth <= innerWidth && document.querySelector('.side').scrollWidth <= document.querySelector('.side').clientWidth"
        )


def test_the_columns_of_an_item_are_shown_as_text(seen: Seen) -> None:
    facts = "return [...document.querySelectorAll('.facts > div')].map((d) => [d.querySelector('dt').textContent, d.querySelector('dd').textContent])"
    for item, value in ((1, LONG), (2, CONTROLS)):
        seen.open(f"?item={item}")
        assert dict(seen.until(f"{facts}.filter(([name]) => name.includes('odd'))")) == {
            spelled(COLUMN): spelled(value)
        }


def test_where_there_is_no_picture_it_says_why(seen: Seen) -> None:
    seen.open("?where=label+%3D+'broken'")
    seen.press("ENTER")
    assert len(seen.until("return document.querySelector('.picture [role=alert]')?.innerText")) > 10


def test_from_one_picture_to_more_like_it(seen: Seen) -> None:
    seen.press("ENTER")
    opened(seen, 0)
    seen.press("m")
    seen.count("100 hits")
    assert seen.query == "view=search&query=1"
    seen.press("ENTER")
    seen.until("return document.querySelector('.facts dt').textContent === 'Score'")
    seen.press("n")
    seen.until("return document.querySelectorAll('.example.negative').length === 1")


def test_an_item_that_is_not_there_is_said(seen: Seen) -> None:
    seen.open("?item=999999")
    assert "999999" in seen.until("return document.querySelector('.side [role=alert]')?.innerText")
    seen.press("ESCAPE")
    closed(seen)
