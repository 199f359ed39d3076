"""Search: by items and by pictures, with and against, above a score, without copies."""

import re
from pathlib import Path

from featurestore import FeatureStore
from tests.featurestore.fakes import paint
from tests.featurestore.gallery.browser.conftest import spelled
from tests.featurestore.gallery.browser.seen import Seen

PICTURE = """
const canvas = new OffscreenCanvas(32, 32); const context = canvas.getContext('2d');
context.fillStyle = 'rgb(250, 40, 40)'; context.fillRect(0, 0, 32, 32);
const data = new DataTransfer();
data.items.add(new File([await canvas.convertToBlob({type: 'image/png'})], 'red.png', {type: 'image/png'}));
"""


def hits(seen: Seen) -> list[tuple[str, str]]:
    """Name and score of the first hits."""
    found = [
        re.fullmatch(r".*, (.+), score (-?[\d.]+)(?:, no picture: .*)?", name, re.DOTALL) for _, name in seen.tiles()
    ]
    assert all(found)
    return [(match[1], match[2]) for match in found[:10] if match]


def expected(store: FeatureStore, items: list[int], **options: object) -> list[tuple[str, str]]:
    found = store.search(items, k=100, **options)  # type: ignore[arg-type]
    names = [spelled(path.rpartition("/")[2]) for path in found.paths[:10]]
    shown = [name if len(name) <= 80 else f"{name[:80]}…" for name in names]
    return list(zip(shown, [f"{score:.3f}" for score in found.scores[:10]], strict=True))


def wait_for(seen: Seen, want: list[tuple[str, str]]) -> None:
    seen.once(lambda: hits(seen) == want)
    assert hits(seen) == want


def test_more_like_this_by_one_key_gives_what_search_gives(seen: Seen, awkward: FeatureStore) -> None:
    seen.press("ARROW_RIGHT", "m")
    seen.count("100 hits")
    assert seen.query == "view=search&query=2"
    wait_for(seen, expected(awkward, [2]))
    assert seen.text(".example .role") == "Like"


def test_several_and_negative_examples(seen: Seen, awkward: FeatureStore) -> None:
    seen.press("SPACE", "ARROW_RIGHT", "SPACE")
    assert seen.text(".choice span") == "2 pictures chosen"
    seen.click_name("More like these")
    seen.count("100 hits")
    wait_for(seen, expected(awkward, [1, 2]))
    seen.js("document.querySelector('.scroller').focus()")
    seen.press("END", "n")
    seen.until("return document.querySelectorAll('.example.negative').length === 1")
    negative = int(seen.query.rpartition("-")[2])
    wait_for(seen, expected(awkward, [1, 2], exclude=[negative]))
    seen.click(".example.negative button", 0)
    seen.until("return document.querySelectorAll('.example.negative').length === 0")
    wait_for(seen, expected(awkward, [1, 2, negative]))
    seen.click(".example button[aria-label^='Take away']", 0)
    wait_for(seen, expected(awkward, [2, negative]))


def test_a_range_is_chosen_by_keys_and_by_mouse(seen: Seen) -> None:
    seen.press("SHIFT+ARROW_RIGHT", "SHIFT+ARROW_RIGHT")
    assert seen.text(".choice span") == "3 pictures chosen"
    assert seen.js("return document.querySelectorAll('.tile[aria-selected=true]').length") == 3
    seen.press("ESCAPE")
    seen.once(lambda: not seen.js("return document.querySelector('.choice')"))
    seen.click(".tile", 1, held="CONTROL")
    seen.click(".tile", 5, held="SHIFT")
    assert seen.text(".choice span") == "5 pictures chosen"
    seen.click_name("Choose none")
    assert seen.js("return document.querySelectorAll('.tile[aria-selected=true]').length") == 0


def test_a_pasted_picture_is_searched_for(seen: Seen) -> None:
    seen.browser.execute_async_script(
        f"(async (done) => {{ {PICTURE} dispatchEvent(new ClipboardEvent('paste', {{clipboardData: data, cancelable: true}})); done(); }})(arguments[0])"
    )
    seen.count("100 hits")
    assert hits(seen)[0][1] >= "0.99"
    assert seen.js("return document.querySelector('.example img').src").startswith("blob:")


def test_a_dropped_picture_is_searched_for(seen: Seen) -> None:
    seen.browser.execute_async_script(
        f"(async (done) => {{ {PICTURE} const send = (name) => dispatchEvent(new DragEvent(name, {{dataTransfer: data, cancelable: true}}));"
        "send('dragenter'); window.said = document.querySelector('.drop')?.textContent;"
        "setTimeout(() => { window.said = document.querySelector('.drop')?.textContent; send('drop'); done(); }, 200); })(arguments[0])"
    )
    assert seen.js("return window.said") == "Drop to search"
    seen.count("100 hits")
    assert seen.js("return document.querySelector('.drop')") is None


def test_a_chosen_picture_is_searched_for_and_joined_by_another(seen: Seen, tmp_path: Path) -> None:
    red, blue = paint(tmp_path / "red.png", (250, 40, 40)), paint(tmp_path / "blue.png", (40, 40, 250))
    seen.press("g", "s")
    seen.until("return document.querySelector('.start') !== null")
    seen.js("document.querySelector('input[type=file]').hidden = false")
    seen.browser.find_element("css selector", "input[type=file]").send_keys(str(red))
    seen.count("100 hits")
    seen.js("document.querySelector('input[type=file]').hidden = false")
    seen.browser.find_element("css selector", "input[type=file]").send_keys(str(blue))
    seen.until("return document.querySelectorAll('.example').length === 2")
    assert seen.query.count("@") == 2


def test_what_is_no_picture_is_refused_in_words(seen: Seen, tmp_path: Path) -> None:
    (tmp_path / "broken.png").write_bytes(b"nothing")
    seen.press("g", "s")
    seen.until("return document.querySelector('.start') !== null")
    seen.js("document.querySelector('input[type=file]').hidden = false")
    seen.browser.find_element("css selector", "input[type=file]").send_keys(str(tmp_path / "broken.png"))
    words = seen.until("return document.querySelector('[role=alert] .toast bdi')?.innerText")
    assert len(words) > 10
    seen.click_name("Close the message")
    seen.once(lambda: not seen.js("return document.querySelector('.toast')"))
    assert seen.js("return document.querySelector('.toast')") is None


def test_a_message_is_seen_above_a_picture_that_is_shown_large(seen: Seen) -> None:
    seen.press("ENTER")
    seen.until("return document.querySelector('.facts') !== null")
    with seen.offline():
        seen.browser.execute_async_script(
            f"(async (done) => {{ {PICTURE} dispatchEvent(new ClipboardEvent('paste', {{clipboardData: data, cancelable: true}})); done(); }})(arguments[0])"
        )
        seen.until("return document.querySelector('.toasts:popover-open [role=alert] .toast') !== null")
    box = seen.js(
        "const b = document.querySelector('.toast').getBoundingClientRect(); return [b.width, b.right, b.bottom]"
    )
    assert box[0] > 200
    assert box[1] <= 1280
    assert 700 < box[2] <= 800


def test_only_hits_above_a_score(seen: Seen, awkward: FeatureStore) -> None:
    seen.open("?view=search&query=1")
    seen.click(".limits input[type=number]")
    seen.write("0.9")
    many = len(awkward.search([1], k=100, above=0.9))
    assert 0 < many < 100
    seen.count(f"{many} hits")
    assert "above=0.9" in seen.query


def test_near_duplicates_are_folded(seen: Seen, awkward: FeatureStore) -> None:
    seen.open("?view=search&query=1")
    seen.click(".limits input[type=checkbox]")
    many = len(awkward.search([1], k=100, unique=0.95))
    assert 1 < many < 100
    seen.count(f"{many} hits")


def test_a_search_within_chips_and_a_condition(seen: Seen, awkward: FeatureStore) -> None:
    seen.open("?view=search&query=1&is.label=rose&where=rank+>+3")
    seen.count(
        f"{len(awkward.search([1], k=100, where='label = ' + chr(39) + 'rose' + chr(39) + ' AND rank > 3'))} hits"
    )
    seen.press("/")
    seen.press("CONTROL+a")
    seen.write("rnk > 3")
    seen.press("ENTER")
    seen.until("return document.getElementById('where-error').innerText.includes('there is no column rnk')")


def test_an_upload_that_is_gone_is_said(seen: Seen) -> None:
    seen.open("?view=search&query=@gone")
    assert "is not kept any more" in seen.text(".nothing [role=alert]")
