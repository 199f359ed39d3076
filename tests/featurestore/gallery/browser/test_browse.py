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
from tests.featurestore.gallery.browser.seen import DESK, PHONE, Seen

MANY = """
const {Grid} = await import('/grid.js');
const scroller = document.createElement('div');
scroller.className = 'scroller'; scroller.style.position = 'fixed'; scroller.style.inset = '0'; scroller.tabIndex = 0;
document.body.replaceChildren(scroller);
const items = new Map();
const item = (place) => {
  if (!items.has(place)) items.set(place, {id: place + 1, name: `${place}.jpg`, path: '', labels: [], label: null, width: 4, height: 3, sha256: ''});
  return items.get(place);
};
const grid = new Grid(scroller, {open() {}, chosen: () => false, choosing: () => false, choose() {}, rest() {}});
grid.show({total: arguments[0], get: item, want() {}});
window.grid = grid;
arguments[1]();
"""
IN_SIGHT = """
const box = document.querySelector('.scroller').getBoundingClientRect();
return [...document.querySelectorAll('.tile')].filter((t) => {
  const b = t.getBoundingClientRect(); return b.bottom > box.top && b.top < box.bottom;
}).map((t) => Number(t.dataset.place)).sort((a, b) => a - b);
"""


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


def test_arrows_pages_and_ends_move_over_all(seen: Seen) -> None:
    columns = seen.js("return new Set([...document.querySelectorAll('.tile')].map((t) => t.style.left)).size")
    seen.press("ARROW_RIGHT", "ARROW_RIGHT", "ARROW_DOWN", "ARROW_LEFT")
    assert seen.active() == columns + 1
    seen.press("PAGE_DOWN")
    assert seen.active() > columns + 1
    seen.press("END")
    assert seen.active() == TOTAL - 1
    assert TOTAL - 1 in seen.js(IN_SIGHT)
    seen.press("HOME")
    assert seen.active() == 0
    assert 0 in seen.js(IN_SIGHT)
    assert seen.js("return document.activeElement.className") == "scroller"


def test_the_active_tile_can_be_seen(seen: Seen) -> None:
    seen.press("ARROW_RIGHT")
    assert seen.js("return getComputedStyle(document.querySelector('.tile.active .frame')).outlineStyle") == "solid"


def test_the_wheel_reaches_the_end(seen: Seen) -> None:
    place = {"type": "mouseWheel", "x": 600, "y": 500, "deltaX": 0, "deltaY": 900}
    for _ in range(12):
        seen.browser.execute_cdp_cmd("Input.dispatchMouseEvent", place)
    seen.once(lambda: TOTAL - 1 in seen.js(IN_SIGHT))
    assert seen.js(IN_SIGHT)[-1] == TOTAL - 1


@pytest.mark.parametrize("size", [DESK, PHONE, (3840, 2160)], ids=["desk", "phone", "large"])
def test_every_place_of_a_million_is_reached_at_a_ratio_of_two(seen: Seen, size: tuple[int, int]) -> None:
    total = 1_000_003
    seen.screen(size, ratio=2)
    seen.browser.execute_async_script(f"(async function () {{ {MANY} }}).apply(null, arguments)", total)
    assert seen.js("return document.querySelectorAll('.tile').length") <= 300
    assert (
        seen.js("return document.querySelector('.sheet').getBoundingClientRect().height * devicePixelRatio")
        < 16_777_216
    )
    for place in (0, 1, 777, 123_456, 333_333, 500_001, 999_999, total - 1):
        seen.js("grid.reveal(arguments[0])", place)
        seen.until("return grid.frame === 0")  # all that is in sight is drawn
        assert place in seen.js(IN_SIGHT)
        box = seen.js(
            "const b = document.getElementById(`tile-${arguments[0]}`).getBoundingClientRect(); return [b.top, b.bottom]",
            place,
        )
        assert -1 <= box[0] < box[1] <= size[1] + 1
    assert seen.js("return document.querySelectorAll('.tile').length") <= 300


def test_no_window_needs_more_than_300_tiles(seen: Seen) -> None:
    most = seen.browser.execute_async_script("""
        const done = arguments[0];
        import('/grid.js').then(({layout, SIZES}) => {
          const found = [];
          for (const side of Object.values(SIZES)) for (const width of [200, 390, 1280, 2560, 3840, 7680]) for (const height of [100, 800, 1440, 2160, 4320]) {
            const {columns, rows, spare, wide} = layout(width, height, side, 16);
            found.push([columns * (rows + 2 * spare), columns * (wide + 16) - 16 <= width, wide]);
          }
          done(found);
        });
    """)
    assert max(tiles for tiles, _, _ in most) <= 300
    assert all(fits and wide > 0 for _, fits, wide in most)


def test_of_a_million_the_bar_and_the_wheel_leave_no_row_out(seen: Seen) -> None:
    total = 1_000_003
    seen.browser.execute_async_script(f"(async function () {{ {MANY} }}).apply(null, arguments)", total)
    scroll = "document.querySelector('.scroller').scrollTop = arguments[0]"
    for bar in (4_000_000, 1_000_000_000, 0, 2_345_678):
        share = min(bar / 8e6, 1)
        seen.js(scroll, bar)
        seen.until("return Math.abs(grid.scroll.top / grid.scroll.farthest - arguments[0]) < 1e-3", share)
        seen.until("return grid.frame === 0")  # all that is in sight is drawn
        rows = seen.js(IN_SIGHT)
        assert rows == list(range(rows[0], rows[-1] + 1))
        assert abs(rows[0] / total - share) < 1e-3
    seen.js(scroll, 2_345_678)
    last = seen.js(IN_SIGHT)
    for _ in range(40):  # through the rest in between, where the bar is put right
        seen.browser.execute_cdp_cmd(
            "Input.dispatchMouseEvent", {"type": "mouseWheel", "x": 600, "y": 500, "deltaX": 0, "deltaY": 300}
        )
        now = seen.js(IN_SIGHT)
        assert now[0] <= last[-1] + 1
        last = now


def test_before_the_end_the_bar_makes_room_to_go_on(seen: Seen) -> None:
    """A wheel that is turned without a rest ends at the first and at the last row, and nowhere before."""
    ends = seen.browser.execute_async_script("""
        const done = arguments[0];
        import('/scroll.js').then(({Scroll}) => {
          const turned = (from, by) => {
            const scroll = new Scroll();
            Object.assign(scroll, {full: 28_000_000, seen: 800});
            let bar = scroll.to(from);
            for (let turn = 0; turn < 100; turn++) {
              bar = Math.min(Math.max(bar + by, 0), scroll.end);
              if (scroll.moved(bar)) bar = scroll.bar;
            }
            return scroll.top;
          };
          done([turned(3_000, -100), turned(28_000_000 - 800 - 3_000, 100) - (28_000_000 - 800)]);
        });
    """)
    assert ends == [0, 0]


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


def test_pictures_grow_and_shrink(seen: Seen) -> None:
    def width() -> int:
        return int(seen.js("return document.querySelector('.tile').offsetWidth"))

    before = width()
    seen.press("+")
    assert width() > before
    seen.press("-", "-")
    assert width() < before
    seen.open()
    assert width() < before  # the wish is kept
    seen.click_name("medium")
    assert width() == before


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
