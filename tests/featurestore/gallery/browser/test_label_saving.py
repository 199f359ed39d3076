"""Labels are on the disk, or it is said that they are not."""

from pathlib import Path

from featurestore import FeatureStore
from featurestore.system.lock import catalog_lock
from tests.featurestore.gallery.browser.conftest import serving
from tests.featurestore.gallery.browser.labelling import Labelling
from tests.featurestore.gallery.browser.seen import Seen


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
