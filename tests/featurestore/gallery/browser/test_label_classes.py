"""The classes beside the picture, their keys, and what is to be labelled: queues, and how good the labels are."""

import pytest

from featurestore import FeatureStore, curation
from tests.featurestore.gallery.browser.conftest import spelled
from tests.featurestore.gallery.browser.labelling import AWKWARD, HUES, TOTAL, Labelling, given


def test_a_class_gets_another_key_which_is_kept(page: Labelling) -> None:
    page.label()
    page.make("rose", "tulip")
    page.click(".classes .key", 0)
    page.until("return document.querySelector('.new-key').textContent.startsWith('Press the new key for rose')")
    page.press("z")
    assert "does something else" in page.text(".new-key")
    page.press("r")
    assert page.classes() == {"tulip": ("2", "1"), "rose": ("R", "1")}
    page.press("r")
    page.saved()
    page.js("document.querySelectorAll('.classes .key')[1].focus()")
    page.press("ENTER", "2")  # the key of the other one: they change places
    assert page.classes() == {"rose": ("2", "2"), "tulip": ("R", "1")}
    page.press("r")
    page.saved()
    page.label()
    page.until("return document.querySelectorAll('.classes li').length === 2")
    assert page.classes() == {"rose": ("2", "2"), "tulip": ("R", "2")}
    page.click(".classes .key", 0)
    page.press("ESCAPE")
    assert page.js("return document.querySelector('.new-key')") is None


def test_keys_stay_once_labels_were_given_whatever_becomes_more_frequent(page: Labelling) -> None:
    given(page, {1: "b", 2: "b", 3: "c"})
    page.label()
    page.until("return document.querySelectorAll('.classes li').length === 2")
    page.press("1")
    page.saved()
    given(page, {4: "a", 5: "a", 6: "a", 7: "c", 8: "c", 9: "c"})
    page.label()
    page.until("return document.querySelectorAll('.classes li').length === 3")
    assert {name: key for name, (key, _) in page.classes().items()} == {"b": "1", "c": "2", "a": "3"}


def test_of_many_classes_a_part_of_the_name_finds_one(page: Labelling) -> None:
    given(page, {number: f"class {number:02}" for number in range(1, 41)})
    page.label("&queue=unlabelled")
    page.until("return document.querySelectorAll('.classes li').length === 40")
    keys = [key for key, _ in page.classes().values()]
    assert keys[:11] == [*"1234567890", "A"]
    assert keys[30:] == ["+"] * 10
    page.press("n")
    page.write("s 37")
    assert list(page.classes()) == ["class 37"]
    page.press("ARROW_DOWN", "ENTER")
    page.saved()
    assert page.labels()[41] == "class 37"
    page.press("n")
    page.write("class 0")
    page.press("ARROW_DOWN", "ARROW_DOWN", "ARROW_UP", "ARROW_UP")
    assert page.js("return document.activeElement.matches('.classes input')")
    page.press("ENTER")  # what is written, not what was found
    page.saved()
    assert page.labels()[42] == "class 0"


@pytest.mark.parametrize("label", AWKWARD, ids=["html", "turned", "hebrew", "proto", "long"])
def test_awkward_classes_are_text(page: Labelling, label: str) -> None:
    page.label("&queue=unlabelled")
    page.press("n")
    page.js("document.querySelector('.classes input').value = arguments[0]", label)
    page.js("document.querySelector('.classes input').dispatchEvent(new Event('input', {bubbles: true}))")
    page.press("ENTER", "1")
    page.saved()
    assert page.labels() == {1: label, 2: label}
    shown = spelled(label)
    assert page.js("return document.querySelector('.classes .class bdi').textContent")[:200] == shown[:200]
    assert page.js("return document.querySelector('.strip .words').textContent")[:60] == shown[:60]
    assert page.js("return getComputedStyle(document.querySelector('.classes .class bdi')).unicodeBidi") == "isolate"
    assert page.js("return document.documentElement.scrollWidth <= innerWidth")
    assert page.js(
        "return [...document.querySelectorAll('.classes li')].every((l) => l.offsetHeight < 50 && l.scrollWidth <= l.clientWidth)"
    )


def test_more_suggestions_come_at_the_end_before_they_are_needed(page: Labelling) -> None:
    page.label()
    page.make("rose")
    page.until("return document.querySelectorAll('.strip li').length > 10")
    for _ in range(12):
        page.press("1")
    before = page.strip()
    page.press("1")
    page.press("1")
    page.until("return document.querySelectorAll('.strip li').length >= 14")  # of 20 there would be 9 at most
    after = [name.split(", ")[1] for name in page.strip()]
    assert after[: len(before) - 2] == [name.split(", ")[1] for name in before[2:]]
    assert len(set(after)) == len(after)


def test_the_queue_without_a_label_keeps_to_the_filters_and_is_in_the_address(page: Labelling) -> None:
    given(page, {2: "tulip"})
    page.label()
    page.click_name("Without a label")
    page.shows("000.png")
    assert "queue=unlabelled" in page.query
    page.press("SPACE")
    page.shows("002.png")
    page.label("&queue=unlabelled&from.id=70")
    page.shows("069.png")
    assert page.js("return document.querySelectorAll('.strip li').length") == 3
    page.make("rose")
    page.press("SPACE", "2")
    page.until("return document.querySelector('.end p').textContent === 'No picture is left here.'")
    page.click_name("Back to 1 skipped picture")
    page.shows("070.png")
    page.saved()
    assert page.labels() == {2: "tulip", 70: "rose", 72: "rose"}


def test_a_condition_that_is_not_understood_is_said_beneath_the_box(page: Labelling) -> None:
    page.label("&queue=unlabelled&where=labl+%3D+3")
    page.until("return document.getElementById('where-error').innerText.includes('there is no column labl')")


def test_predictions_are_accepted_or_left(page: Labelling) -> None:
    given(page, {1: "fire", 2: "grass", 3: "water", 4: "fire", 5: "grass", 6: "water"})
    page.label("&queue=predictions")
    page.until("return document.querySelectorAll('.of option').length > 2")
    page.js(
        "const s = document.querySelector('.of select'); s.value = 'grass'; s.dispatchEvent(new Event('change', {bubbles: true}))"
    )
    page.until("return document.querySelector('.guess bdi')?.textContent === 'grass'")
    assert "queue=predictions&of=grass" in page.query
    first = int(page.name()[:3]) + 1
    page.press("ENTER")
    second = int(page.name()[:3]) + 1
    page.press("x")
    third = int(page.name()[:3]) + 1
    page.click(".accept")
    page.saved()
    assert len({first, second, third}) == 3
    found = page.labels()
    assert (found[first], found.get(second), found[third]) == ("grass", None, "grass")
    page.label("&queue=predictions&of=grass")
    page.until("return document.querySelector('.guess bdi')?.textContent === 'grass'")


def test_nothing_left_is_said(page: Labelling) -> None:
    given(page, dict.fromkeys(range(1, TOTAL + 1), "rose"))
    page.label()
    assert len(page.until("return document.querySelector('.end [role=alert]')?.textContent")) > 20
    page.label("&queue=unlabelled")
    page.until("return document.querySelector('.end p').textContent === 'No picture is left here.'")
    page.label("&queue=predictions")


def kind(number: int) -> str:
    return list(HUES)[number % len(HUES)]


def test_the_curve_grows_and_before_it_says_what_is_missing(page: Labelling) -> None:
    page.label()
    page.until("return document.querySelector('.learning .note')?.textContent === 'Nothing is labelled yet.'")
    store = FeatureStore.open(page.store)
    report = curation.suggest(store, 40)
    curation.keep_columns(store, report)
    given(page, {item.id: kind(item.id - 1) for item in report.items})
    page.label()
    page.until("return document.querySelector('.learning .note')?.textContent.includes('4 so far')")
    assert page.js("return document.querySelector('.curve')") is None
    for _ in range(20):
        name = page.name()
        page.press(str(1 + sorted(HUES).index(kind(int(name[:3])))))
        page.until(
            "return ![arguments[0], undefined].includes(document.querySelector('.about-item h2')?.textContent)", name
        )
    name = page.until("return document.querySelector('.curve')?.ariaLabel")
    assert name.startswith("Accuracy on random images: ")
    words = page.js("return [...document.querySelectorAll('.curve text')].map((t) => t.textContent)")
    assert {"labels", "0 %", "100 %"} <= set(words)
    assert page.js("return document.querySelector('.curve .band').getBBox().height > 0")
    assert "random image" in page.text(".learning .note")
