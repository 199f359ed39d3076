"""The grid: every place of it is reached by keys, wheel and bar, also among a million, with few tiles."""

import pytest

from tests.featurestore.gallery.browser.conftest import (
    TOTAL,
)
from tests.featurestore.gallery.browser.seen import DESK, IN_SIGHT, PHONE, Seen

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
