"""Browse: all pictures, by place, order and condition."""

import pytest

from featurestore import FeatureStore
from tests.featurestore.gallery.browser.conftest import (
    AWKWARD,
    COLUMN,
    HEBREW,
    LABELS,
    PLAIN,
    TOTAL,
    spelled,
    write_lines,
)
from tests.featurestore.gallery.browser.seen import IN_SIGHT, Seen


def ordered(store: FeatureStore, order: str) -> list[int]:
    ids: list[int] = store.sql(f"SELECT id FROM items ORDER BY {order}")["id"].to_pylist()
    return ids


def test_the_first_page_shows_pictures_and_their_number(seen: Seen) -> None:
    seen.count(f"{TOTAL} pictures")
    seen.until(
        "return [...document.querySelectorAll('.tile img')].filter((i) => i.complete && i.naturalWidth > 8).length > 20"
    )
    assert seen.tiles()[0] == (0, "cold, 000.png")
    assert seen.js("return document.title") == "awkward · featurestore"


def test_the_list_is_named_for_screen_readers(seen: Seen) -> None:
    facts = seen.js(
        "const t = document.querySelector('.tile'); const s = document.querySelector('.scroller');"
        "return [s.role, s.ariaLabel, s.tabIndex, t.role, t.ariaSetSize, t.ariaPosInSet, t.ariaSelected, document.querySelector('.count').ariaLive, t.querySelector('img').alt]"
    )
    assert facts == ["listbox", "Pictures", 0, "option", str(TOTAL), "1", "false", "polite", ""]
    tree = seen.browser.execute_cdp_cmd("Accessibility.getFullAXTree", {})["nodes"]
    names = {(node["role"]["value"], node.get("name", {}).get("value")) for node in tree if "role" in node}
    assert {("option", "cold, 000.png"), ("listbox", "Pictures"), ("button", "Filters"), ("link", "Search")} <= names


def test_awkward_names_are_text(seen: Seen) -> None:
    seen.press("END")
    seen.until(
        "return document.querySelector('.tile:last-child:not(.waiting)')?.dataset.place === arguments[0]",
        str(TOTAL - 1),
    )
    names = " ".join(name for _, name in seen.tiles())
    assert "<script>boom()</script>, <img src=x onerror=boom()>.png" in names
    assert 'it\'s "quoted"; -- DROP' in names
    assert "\\u202eevil\\u202c after" in names
    assert HEBREW in names
    assert "y" * 80 in names
    heights = seen.js("return [...document.querySelectorAll('.tile')].map((t) => t.offsetHeight)")
    assert max(heights) - min(heights) <= 1
    assert seen.js("return getComputedStyle(document.querySelector('.tile .words')).unicodeBidi") == "isolate"
    assert seen.js("return document.documentElement.scrollWidth <= innerWidth")


def test_where_there_is_no_picture_the_tile_says_why(seen: Seen) -> None:
    seen.open("?where=label+%3D+'broken'")
    reason = seen.until("return document.querySelector('.tile.failed .reason')?.innerText")
    assert reason == "the file has changed since it was indexed; run index again"
    assert seen.tiles()[0][1].startswith("broken, broken.png, no picture: ")


def test_an_answer_that_is_given_up_half_way_is_no_error_of_the_server(seen: Seen) -> None:
    name = seen.browser.execute_async_script("""
        const done = arguments[0];
        const controller = new AbortController();
        window.fetch = async () => ({ok: true, status: 200, json: async () => { controller.abort(); throw new DOMException('', 'AbortError'); }});
        import('/api.js').then(({getStore}) => getStore(controller.signal)).catch((error) => done(error.name));
    """)
    assert name == "AbortError"


def test_pictures_are_sorted_by_any_column_both_ways(seen: Seen, awkward: FeatureStore) -> None:
    seen.open("?sort=rank&order=desc")
    ids = ordered(awkward, "rank DESC NULLS LAST, id")
    assert [name for _, name in seen.tiles()[:3]] == [f"{LABELS[(n - 1) % 4]}, {n - 1:03}.png" for n in ids[:3]]
    seen.click_name("Descending; turn the order")
    seen.until("return document.querySelector('.tile').ariaLabel === 'cold, 000.png'")
    assert seen.query == "sort=rank"
    seen.js(
        "const s = document.querySelector('.sort select'); s.value = 'path'; s.dispatchEvent(new Event('change', {bubbles: true}))"
    )
    seen.once(lambda: seen.query == "sort=path")
    assert spelled(COLUMN) in seen.js("return [...document.querySelectorAll('.sort option')].map((o) => o.textContent)")


def test_a_condition_by_keys_alone(seen: Seen) -> None:
    seen.press("/")
    seen.write("label = 'rose' AND rank < 2")
    seen.press("ENTER")
    seen.count("4 pictures")
    assert all(name.startswith("rose, ") for _, name in seen.tiles())
    seen.click_name("Clear the condition")
    seen.count(f"{TOTAL} pictures")


def test_a_condition_that_is_not_understood_says_why_beneath_the_box(seen: Seen) -> None:
    seen.press("/")
    seen.write("labl = 'rose'")
    seen.press("ENTER")
    words = seen.until("return document.getElementById('where-error').innerText")
    assert "there is no column labl; did you mean label?" in words
    assert seen.js(
        "const i = document.querySelector('.where input'); return [i.ariaInvalid, document.getElementById(i.getAttribute('aria-describedby')).role]"
    ) == ["true", "alert"]
    seen.press("CONTROL+a")
    seen.write("label = 'rose'")
    seen.press("ENTER")
    seen.count(f"{PLAIN // 4} pictures")
    assert seen.text("#where-error") == ""


def test_names_of_columns_are_put_into_the_box_by_a_press(seen: Seen) -> None:
    seen.press("/")
    seen.click_name(spelled(COLUMN))
    assert seen.js("return document.querySelector('.where input').value") == '"' + COLUMN.replace('"', '""') + '"'
    seen.write(" = '</bdi>2\u202e'")
    seen.press("ENTER")
    seen.count(f"{PLAIN // 3} pictures")


def test_chips_by_mouse_and_by_keys(seen: Seen) -> None:
    seen.press("f")
    seen.until("return document.querySelectorAll('.filters .chip').length > 4")
    seen.click_name("rose30")
    seen.count("30 pictures")
    seen.click_name("warm30")
    seen.count("60 pictures")
    assert seen.query == "is.label=rose&is.label=warm"
    assert seen.js("return document.querySelectorAll('.filters [aria-pressed=true]').length") == 2
    assert seen.text(".badge") == "2"
    seen.js("document.querySelector('.in-force button').focus()")
    seen.press("ENTER")
    seen.count("30 pictures")
    seen.press("f")
    seen.once(lambda: not seen.js("return document.querySelector('.filters')"))
    assert seen.js("return document.querySelector('.filters')") is None


@pytest.mark.parametrize("label", [label for label in AWKWARD.values() if label is not None and len(label) < 100])
def test_a_chip_of_any_label_finds_its_pictures(seen: Seen, label: str) -> None:
    seen.press("f")
    find = "return [...document.querySelectorAll('.filters .chip')].map((b) => b.querySelector('bdi')?.textContent)"
    shown = spelled(label)
    seen.until(f"return ({find[7:]}).includes(arguments[0])", shown)
    seen.js(f"document.querySelectorAll('.filters .chip')[({find[7:]}).indexOf(arguments[0])].click()", shown)
    seen.count("1 picture")
    assert seen.js("return document.querySelector('.in-force bdi + bdi, .in-force .chip > bdi').textContent") == shown


def test_items_without_a_value_and_ranges_of_numbers(seen: Seen) -> None:
    seen.open("?none.label=")
    seen.count("1 picture")
    seen.open("?from.rank=1&to.rank=2")
    seen.count("9 pictures")
    seen.press("f")
    seen.until("return [...document.querySelectorAll('.range input')].some((i) => i.value === '1')")
    field = "[...document.querySelectorAll('.range input')].find((i) => i.value === '2')"
    seen.js(f"{field}.focus(); {field}.select()")
    seen.write("3")
    seen.press("ENTER")
    seen.count("17 pictures")


def test_back_and_forward_and_reload(seen: Seen) -> None:
    seen.press("END")
    seen.once(lambda: (seen.js("return history.state?.place") or 0) == TOTAL - 1)
    seen.press("/")
    seen.write("label = 'rose'")
    seen.press("ENTER")
    seen.count("30 pictures")
    assert seen.active() == 0
    seen.browser.back()
    seen.count(f"{TOTAL} pictures")
    seen.once(lambda: seen.active() == TOTAL - 1)
    assert seen.active() == TOTAL - 1
    assert TOTAL - 1 in seen.js(IN_SIGHT)
    seen.browser.refresh()
    seen.once(lambda: seen.active() == TOTAL - 1)
    assert TOTAL - 1 in seen.js(IN_SIGHT)
    seen.browser.forward()
    seen.count("30 pictures")


def test_a_server_that_is_gone_is_said(seen: Seen) -> None:
    with seen.offline():
        seen.press("/")
        seen.write("id > 5")
        seen.press("ENTER")
        seen.until(
            "return document.querySelector('.nothing [role=alert]')?.innerText === 'The server does not answer. Is it still running?'"
        )


def test_a_change_by_another_process_is_said_and_shown_when_wanted(seen: Seen, awkward: FeatureStore) -> None:
    file = awkward.path.parent / "meanwhile.jsonl"
    write_lines(file, [{"path": "000.png", "meanwhile": 1}])
    awkward.annotate(file)
    try:
        seen.js("document.dispatchEvent(new Event('visibilitychange'))")
        seen.until(
            "return document.querySelector('[role=status] .toast bdi')?.textContent === 'The collection has changed.'"
        )
        seen.click_name("Show it as it is now")
        seen.until("return [...document.querySelectorAll('.sort option')].some((o) => o.value === 'meanwhile')")
        seen.count(f"{TOTAL} pictures")
    finally:
        awkward.drop_column("meanwhile")


def test_a_finger_chooses_by_a_long_press(seen: Seen) -> None:
    long_press = """
        const tile = document.querySelectorAll('.tile img')[arguments[0]];
        for (const [kind, name] of [[PointerEvent, 'pointerdown'], [MouseEvent, arguments[1]]])
          tile.dispatchEvent(new kind(name, {bubbles: true, cancelable: true, pointerType: 'touch'}));
    """
    seen.js(long_press, 1, "contextmenu")
    assert seen.text(".choice span") == "1 picture chosen"
    seen.js(long_press, 2, "click")  # while some are chosen, a short press chooses
    assert seen.text(".choice span") == "2 pictures chosen"
    seen.click_name("Choose none")
    seen.js(long_press, 2, "click")
    seen.until("return document.querySelector('.detail') !== null")
