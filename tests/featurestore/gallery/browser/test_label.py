"""Label: one picture after the other, by keys and by mouse, and taken back."""

from featurestore import FeatureStore
from featurestore.system.lock import catalog_lock
from tests.featurestore.gallery.browser.labelling import Labelling, given


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


def test_labels_that_waited_are_changes_of_their_own_and_are_undone_one_by_one(page: Labelling) -> None:
    page.label("&queue=unlabelled")
    page.make("rose", "tulip")
    page.saved()
    changes = FeatureStore.open(page.store).catalog.labels.changes
    before = len(changes(100))
    with catalog_lock(page.store):
        page.press("1", "2", "1", "2")
        page.until("return document.querySelector('.saving').textContent === 'saving 4'")
    page.saved()
    assert [change.items for change in changes(100)[: len(changes(100)) - before]] == [1, 1, 1, 1]
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
