"""Label: by keys and by mouse, saved or said, taken back; and labelling in the other views."""

import colorsys
import itertools
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from featurestore import FeatureStore, curation
from featurestore.system.lock import catalog_lock
from tests.featurestore.fakes import paint
from tests.featurestore.gallery.browser.conftest import serving, spelled, write_lines
from tests.featurestore.gallery.browser.seen import DESK, PHONE, Seen
from tests.featurestore.gallery.browser.test_looks import OVERFLOWING
from tests.featurestore.report.test_seen import CONTRASTS, READABLE

HUES = {"fire": 0.0, "grass": 0.33, "water": 0.62}  # three kinds of pictures
EACH = 24
TOTAL = EACH * len(HUES)
LABELLED = "SELECT id, label, label_source FROM items WHERE label IS NOT NULL OR labels IS NOT NULL ORDER BY id"
AWKWARD = ["<img src=x onerror=boom()>", "\u202eevil\u202c after", "שלום עולם", "__proto__", "y" * 1000]


@pytest.fixture(scope="session")
def flowers(tmp_path_factory: pytest.TempPathFactory, encoder: Path) -> FeatureStore:
    """72 pictures of three kinds, none of them labelled."""
    folder = tmp_path_factory.mktemp("flowers")
    for number in range(TOTAL):
        hue = (list(HUES.values())[number % len(HUES)] + number / 1000) % 1
        red, green, blue = (int(255 * part) for part in colorsys.hsv_to_rgb(hue, 0.5 + number / 200, 0.9))
        paint(folder / "pictures" / f"{number:03}.png", (red, green, blue), size=160)
    store = FeatureStore.open(folder / "flowers.store", encoder)
    store.index(folder / "pictures")
    return store


class Labelling(Seen):
    """The page in front of a copy of that store."""

    store: Path

    def label(self, query: str = "") -> None:
        """Open the Label view and wait for a picture or for what is said in its place."""
        self.browser.get(f"{self.root}?view=label{query}")
        self.until(
            "return document.querySelector('.one img, .nothing p:not([role=status])') !== null && document.querySelector('.classes') !== null"
        )
        self.js("document.activeElement.blur()")

    def labels(self) -> dict[int, str]:
        """The labels on the disk, by the id of the item."""
        found = FeatureStore.open(self.store).sql(LABELLED).to_pylist()
        return {row["id"]: row["label"] for row in found}

    def make(self, *names: str) -> None:
        """Make classes, each of which labels one picture."""
        for name in names:
            self.press("n")
            self.write(name)
            self.press("ENTER")

    def saved(self) -> None:
        self.until("return document.querySelector('.saving')?.textContent === 'all saved'")

    def name(self) -> str:
        """The name of the picture that is shown."""
        return self.text(".about-item h2")

    def shows(self, name: str) -> None:
        self.until("return document.querySelector('.about-item h2')?.textContent === arguments[0]", name)

    def strip(self) -> list[str]:
        found: list[str] = self.js("return [...document.querySelectorAll('.strip button')].map((b) => b.ariaLabel)")
        return found

    def classes(self) -> dict[str, tuple[str, str]]:
        """Key and number of items of each class, in the order of the page."""
        rows = self.js(
            "return [...document.querySelectorAll('.classes li')].map((l) => [l.querySelector('bdi').textContent, l.querySelector('.key').textContent, l.querySelector('.figure').textContent])"
        )
        return {name: (key, number) for name, key, number in rows}


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


def given(page: Labelling, labels: dict[int, str]) -> None:
    """Label items as a command does."""
    file = page.store.parent / "labels.jsonl"
    write_lines(file, [{"id": item, "label": label} for item, label in labels.items()])
    FeatureStore.open(page.store).label(file)


# One picture after the other


def test_a_new_class_by_one_key_and_its_name_then_by_its_own_key(page: Labelling) -> None:
    page.press("g", "l")
    page.until("return document.querySelector('.one img') !== null")
    first = page.name()
    page.make("rose", "tulip")
    assert page.classes() == {"rose": ("1", "1"), "tulip": ("2", "1")}
    page.press("2", "1", "1")
    assert page.classes() == {"rose": ("1", "3"), "tulip": ("2", "2")}
    page.saved()
    found = page.labels()
    assert sorted(found.values()) == ["rose", "rose", "rose", "tulip", "tulip"]
    assert found[int(first[:3]) + 1] == "rose"
    assert page.js("return document.querySelector('.strip [aria-current]').ariaLabel").startswith("no label, ")


def test_keys_work_at_once_after_the_way_there_by_mouse(page: Labelling) -> None:
    given(page, {1: "fire", 2: "grass"})
    page.click("nav a", 2)
    guess = page.until("return document.querySelector('.guess bdi')?.textContent")
    page.click_name("Without a label")
    page.shows("002.png")
    page.press("SPACE")
    page.shows("003.png")
    page.click_name("Suggestions")
    page.until("return document.querySelector('.guess bdi') !== null")
    page.press("ENTER")
    page.saved()
    assert len(page.labels()) == 3
    assert guess in page.labels().values()


def test_by_mouse_and_the_keys_after_it_do_not_press_again(page: Labelling) -> None:
    page.label()
    page.click(".classes form input")
    page.write("rose")
    page.press("ENTER")
    second = page.name()
    page.click(".classes .class")
    assert page.name() != second
    page.click_name("SkipSpace")
    page.press("SPACE")
    page.click_name("Back, without labelling")
    page.saved()
    assert sorted(page.labels().values()) == ["rose", "rose"]
    page.click(".strip button", 0)
    page.until("return document.querySelector('.given')?.textContent === 'Labelled as rose. '")


def test_space_skips_and_arrows_move_without_labelling(page: Labelling) -> None:
    page.label("&queue=unlabelled")
    page.shows("000.png")
    page.press("SPACE", "ARROW_RIGHT", "ARROW_RIGHT")
    page.shows("003.png")
    page.press("ARROW_LEFT", "ARROW_LEFT", "ARROW_LEFT", "ARROW_LEFT")
    page.shows("000.png")
    assert "Skipped." in page.text(".about-item .note")
    page.press("n")
    page.write("rose")
    page.press("ENTER")
    page.shows("001.png")
    page.saved()
    assert page.labels() == {1: "rose"}


def test_enter_accepts_the_guess_if_there_is_one(page: Labelling) -> None:
    page.label()
    page.press("ENTER")  # there is none
    given(page, {1: "fire", 2: "grass", 4: "fire", 5: "grass"})
    page.label()
    guess = page.until("return document.querySelector('.guess bdi')?.textContent")
    item = int(page.name()[:3]) + 1
    assert page.js("return document.querySelector('.classes .guessed bdi').textContent") == guess
    page.press("ENTER")
    page.saved()
    assert page.labels()[item] == guess
    item = int(page.name()[:3]) + 1
    guess = page.until("return document.querySelector('.guess bdi')?.textContent")
    page.click(".accept")
    page.saved()
    assert page.labels()[item] == guess


def test_undo_goes_back_to_the_beginning(page: Labelling) -> None:
    given(page, {7: "tulip"})
    page.label("&queue=unlabelled")
    names = []
    page.make("rose", "lily")
    for key in "121":
        names.append(page.name())
        page.press(key)
    page.press("ARROW_RIGHT", "ARROW_RIGHT")
    page.saved()
    assert len(page.labels()) == 6
    for name in ["004.png", "003.png", "002.png", "001.png"]:
        page.press("z")
        page.shows(name)
        assert page.js("return document.querySelector('.given')") is None
    page.click_name("UndoZ")
    page.shows("000.png")
    page.saved()
    assert page.labels() == {7: "tulip"}
    page.press("z")
    page.until(
        "return [...document.querySelectorAll('.toast bdi')].some((t) => t.textContent === 'Nothing is left to undo in this window.')"
    )
    assert FeatureStore.open(page.store).sql("SELECT count(*) AS n FROM items WHERE label_source = 'person'")["n"][
        0
    ].as_py() in (0, 1)


def test_undo_gives_an_item_back_the_label_that_it_had(page: Labelling) -> None:
    given(page, {1: "tulip", 2: "lily"})
    page.open("?item=1&at=0")
    page.until("return document.querySelector('.facts') !== null")
    page.press("l")
    page.write("rose")
    page.press("ENTER")
    page.saved()
    assert page.labels() == {1: "rose", 2: "lily"}
    page.press("z")
    page.until("return document.querySelector('.facts dd bdi').textContent === 'tulip'")
    page.saved()
    assert page.labels() == {1: "tulip", 2: "lily"}


def test_labels_that_went_together_are_undone_one_by_one(page: Labelling) -> None:
    page.label("&queue=unlabelled")
    page.make("rose", "tulip")
    page.saved()
    changes = FeatureStore.open(page.store).catalog.labels.changes
    before = len(changes(100))
    with catalog_lock(page.store):
        page.press("1", "2", "1", "2")
        page.until("return document.querySelector('.saving').textContent === 'saving 4'")
    page.saved()
    assert [change.items for change in changes(100)[: len(changes(100)) - before]] == [3, 1]
    assert page.labels() == {1: "rose", 2: "tulip", 3: "rose", 4: "tulip", 5: "rose", 6: "tulip"}
    for left in range(5, -1, -1):
        page.press("z")
        page.shows(f"{left:03}.png")
        page.saved()
        assert sorted(page.labels()) == list(range(1, left + 1))


def test_an_undo_before_the_label_was_sent(page: Labelling) -> None:
    page.label("&queue=unlabelled")
    page.make("rose")
    page.saved()
    with catalog_lock(page.store):
        page.press("1", "1", "1", "z")
    page.saved()
    assert page.labels() == {1: "rose", 2: "rose", 3: "rose"}


def test_of_several_labels_of_one_picture_the_last_wins(page: Labelling) -> None:
    page.label("&queue=unlabelled")
    page.make("rose", "tulip")
    page.saved()
    with catalog_lock(page.store):
        page.press("1", "1", "ARROW_LEFT", "2", "ARROW_LEFT", "1", "ARROW_LEFT", "2")
    page.saved()
    assert page.labels() == {1: "rose", 2: "tulip", 3: "rose", 4: "tulip"}
    page.press("z")
    page.saved()
    assert page.labels()[4] == "rose"


def test_a_key_that_is_held_down_labels_one_picture(page: Labelling) -> None:
    page.label("&queue=unlabelled")
    page.make("rose")
    key = {"type": "keyDown", "key": "1", "code": "Digit1", "windowsVirtualKeyCode": 49}
    for repeat in (False, True, True):
        page.browser.execute_cdp_cmd("Input.dispatchKeyEvent", key | {"autoRepeat": repeat})
    page.browser.execute_cdp_cmd("Input.dispatchKeyEvent", key | {"type": "keyUp"})
    page.saved()
    assert page.labels() == {1: "rose", 2: "rose"}


def test_keys_do_nothing_while_the_field_has_the_focus(page: Labelling) -> None:
    page.label("&queue=unlabelled")
    page.make("rose")
    page.press("n")
    page.write("1 z x ?")
    assert page.js("return document.querySelector('.classes input').value") == "1 z x ?"
    page.press("ESCAPE")
    assert page.js("return [document.querySelector('.classes input').value, document.activeElement.className]") == [
        "",
        "one",
    ]
    page.shows("001.png")
    page.saved()
    assert page.labels() == {1: "rose"}


def test_the_list_of_keys_has_all_of_them(page: Labelling) -> None:
    page.label("&queue=predictions")
    page.press("?")
    words = page.until("return document.querySelector('.help')?.innerText")
    for said in (
        "Accept the guess",
        "Skip: leave it for now",
        "Not this class",
        "Undo the last label",
        "A new class, or find one",
        "Label with the class of this key",
        "On, without labelling",
    ):
        assert said in words


def test_no_key_of_a_class_does_anything_else(page: Labelling) -> None:
    page.label()
    bound = page.browser.execute_async_script("""
        const done = arguments[0];
        Promise.all([import('/keys.js'), import('/classes.js')]).then(([{allBindings}, {KEYS}]) =>
          done([KEYS, allBindings().flatMap((one) => one.keys).flatMap((key) => [key, key.split(' ')[0]])]));
    """)
    assert len(bound[0]) == 30
    assert set(bound[0]) & set(bound[1]) == set()


# Classes and their keys


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


# Saved, or said


def test_a_busy_store_is_said_and_the_labels_are_saved_in_the_end(page: Labelling) -> None:
    page.label("&queue=unlabelled")
    page.make("rose")
    page.saved()
    with catalog_lock(page.store):
        page.press("1", "1")
        page.until("return document.querySelector('.saving').textContent === 'saving 2'")
        words = page.until("return document.querySelector('.saving[role=alert]')?.textContent")
        assert words.startswith("2 NOT saved, trying again: store ")
        assert "is being written by process" in words
        page.press("1")
        page.until("return document.querySelector('.saving').textContent.startsWith('3 NOT saved')")
        page.shows("004.png")
        assert page.labels() == {1: "rose"}
    page.saved()
    assert page.labels() == dict.fromkeys((1, 2, 3, 4), "rose")


def test_leaving_with_labels_that_are_not_saved_asks(page: Labelling) -> None:
    asks = "return !dispatchEvent(new Event('beforeunload', {cancelable: true}))"
    page.label("&queue=unlabelled")
    page.make("rose")
    page.saved()
    assert not page.js(asks)
    with page.offline():
        page.press("1")
        page.until(
            "return document.querySelector('.saving').textContent === '1 NOT saved, trying again: The server does not answer. Is it still running?'"
        )
        assert page.js(asks)
        page.press("g", "b")  # another view is no leaving
        assert page.js(asks)
        page.until("return document.querySelector('.saving').textContent.startsWith('1 NOT saved')")
    page.saved()
    assert not page.js(asks)
    assert page.labels() == {1: "rose", 2: "rose"}


def test_an_answer_that_is_lost_is_asked_for_again_and_the_label_can_be_undone(page: Labelling) -> None:
    page.label("&queue=unlabelled")
    page.make("rose")
    page.saved()
    page.js("""
        const send = window.fetch;
        window.fetch = async (...all) => {
          const answer = await send(...all);
          if (!String(all[0]).endsWith('/labels')) return answer;
          window.fetch = send;
          throw new TypeError('lost');
        };
    """)
    page.press("1")
    page.saved()
    assert page.labels() == {1: "rose", 2: "rose"}
    page.press("z", "z")
    page.shows("000.png")
    page.saved()
    assert page.labels() == {}


def test_a_label_that_is_refused_is_said_and_its_picture_comes_back(page: Labelling) -> None:
    page.label("&queue=unlabelled")
    page.make("rose")
    page.saved()
    with catalog_lock(page.store):
        page.press("1")
        page.press("n")
        page.js("document.querySelector('.classes input').value = '\\x07'")
        page.js("document.querySelector('.classes input').dispatchEvent(new Event('input', {bubbles: true}))")
        page.press("ENTER")  # 002.png
        page.press("1", "SPACE")
        page.shows("005.png")
    words = page.until("return document.querySelector('[role=alert] .toast bdi')?.textContent")
    assert words.startswith("Not saved: 1 labelled as \\x07. labels of item 3: expected a name of 1 to 1,000")
    page.saved()
    page.shows("005.png")  # what is looked at stays
    page.press("1")
    page.shows("002.png")
    page.saved()
    assert page.labels() == dict.fromkeys((1, 2, 4, 6), "rose")


def test_a_picture_that_the_store_has_no_more_is_said_and_passed_over(page: Labelling) -> None:
    page.label("&queue=unlabelled")
    page.make("rose")
    page.saved()
    FeatureStore.open(page.store).delete("id IN (2, 4)")
    page.press("1", "1")
    page.until(
        "return document.querySelector('[role=alert] .toast bdi')?.textContent.includes('no longer in the store')"
    )
    page.saved()
    assert page.labels() == {1: "rose", 3: "rose"}


def test_a_server_that_only_reads_says_so(window: Seen, flowers: FeatureStore, tmp_path: Path) -> None:
    with serving(flowers.path, tmp_path / "cache", "--read-only") as address:
        page = Labelling(window.browser, address)
        page.browser.get(f"{page.root}?view=label")
        assert "--read-only" in page.until("return document.querySelector('.nothing [role=alert]')?.textContent")
        page.open()
        page.press("l")
        page.until("return document.querySelector('.toast bdi')?.textContent.includes('--read-only')")
        assert page.js("return document.querySelector('dialog')") is None
        page.browser.get("about:blank")


# Queues


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


# The figure


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


# In the other views


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
    page.until("return document.querySelector('.labelbox [aria-selected=true] bdi')?.textContent === 'tuba'")
    assert "Enter labels as tuba." in page.text(".labelbox .note")
    page.press("ARROW_DOWN")
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
    page.press("ARROW_UP", "ENTER")
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
