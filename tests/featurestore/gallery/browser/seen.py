"""The page in Chromium, as tests drive it: by keys, by mouse, and by what can be seen."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlsplit

from selenium.webdriver import ActionChains
from selenium.webdriver.common.keys import Keys

SECONDS = 20.0  # until something is there
DESK, PHONE = (1280, 800), (390, 844)
IN_SIGHT = """
const box = document.querySelector('.scroller').getBoundingClientRect();
return [...document.querySelectorAll('.tile')].filter((t) => {
  const b = t.getBoundingClientRect(); return b.bottom > box.top && b.top < box.bottom;
}).map((t) => Number(t.dataset.place)).sort((a, b) => a - b);
"""


class Seen:
    """One window of Chromium that shows a gallery."""

    def __init__(self, browser: Any, address: str) -> None:
        self.browser = browser
        self.root = address.partition("?")[0]
        self.screen()
        browser.get(address)

    def screen(
        self, size: tuple[int, int] = DESK, scheme: str = "light", ratio: int = 1, motion: str = "no-preference"
    ) -> None:
        """Give the window a size in pixels of the page, and the wishes of its user."""
        metrics = {"width": size[0], "height": size[1], "deviceScaleFactor": ratio, "mobile": size[0] < 500}
        self.browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
        wishes = {"prefers-color-scheme": scheme, "prefers-reduced-motion": motion}
        features = [{"name": name, "value": value} for name, value in wishes.items()]
        self.browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": features})

    def open(self, query: str = "") -> None:
        """Open an address of the page, and wait for its pictures or for the sentence in their place."""
        self.browser.get(self.root + query)
        self.until("return document.querySelector('.tile:not(.waiting), .nothing > *, .start, .one img') !== null")

    def js(self, script: str, *arguments: Any) -> Any:
        return self.browser.execute_script(script, *arguments)

    def until(self, script: str, *arguments: Any) -> Any:
        """Wait until a script gives something true, and give that back."""
        found = self.once(lambda: self.js(script, *arguments))
        assert found, f"never true: {script}; on the page: {self.js('return document.body.innerText')[:300]!r}"
        return found

    def once(self, seen: Callable[[], Any]) -> Any:
        end = time.monotonic() + SECONDS
        while not (found := seen()) and time.monotonic() < end:
            time.sleep(0.02)
        return found

    def press(self, *keys: str) -> None:
        for key in keys:
            held, _, last = key.rpartition("+") if len(key) > 1 else ("", "", key)
            chain = ActionChains(self.browser)
            named = getattr(Keys, last.upper(), last) if len(last) > 1 else last
            if held:
                chain.key_down(getattr(Keys, held.upper())).send_keys(named).key_up(getattr(Keys, held.upper()))
            else:
                chain.send_keys(named)
            chain.perform()

    def write(self, text: str) -> None:
        ActionChains(self.browser).send_keys(text).perform()

    def click(self, selector: str, number: int = 0, held: str = "") -> None:
        """Press with the mouse on the middle of an element."""
        self.until(f"return document.querySelectorAll({selector!r}).length > {number}")
        element = self.js(f"return document.querySelectorAll({selector!r})[{number}]")
        chain = ActionChains(self.browser)
        if held:
            chain.key_down(getattr(Keys, held.upper()))
        chain.move_to_element(element).click()
        if held:
            chain.key_up(getattr(Keys, held.upper()))
        chain.perform()

    def click_name(self, name: str) -> None:
        """Press a button that has this text or this name."""
        find = "return [...document.querySelectorAll('button')].find((b) => b.checkVisibility() && (b.textContent.trim() === arguments[0] || b.ariaLabel === arguments[0]))"
        ActionChains(self.browser).move_to_element(self.until(find, name)).click().perform()

    @property
    def query(self) -> str:
        return str(urlsplit(self.browser.current_url).query)

    def text(self, selector: str) -> str:
        return str(self.js("return document.querySelector(arguments[0])?.textContent ?? ''", selector)).strip()

    def count(self, words: str) -> None:
        """Wait until the line above the pictures says how many there are."""
        self.until("return document.querySelector('.count')?.textContent === arguments[0]", words)

    def tiles(self) -> list[tuple[int, str]]:
        """The tiles in sight and around: their places, and their names as a screen reader says them."""
        found = self.js(
            "return [...document.querySelectorAll('.tile:not(.waiting)')].map((t) => [Number(t.dataset.place), t.ariaLabel])"
        )
        return [(place, name) for place, name in found]

    def active(self) -> int:
        """The place of the tile that the keys are on, which is what a screen reader is told."""
        found = self.js(
            "return document.getElementById(document.querySelector('.scroller').getAttribute('aria-activedescendant'))?.dataset.place"
        )
        return int(found) if found is not None else -1

    def complaints(self) -> list[str]:
        """What the browser complained of since the last look; answers that are errors are no complaint."""
        return [
            entry["message"]
            for entry in self.browser.get_log("browser")
            if "Failed to load resource" not in entry["message"]
        ]

    @contextmanager
    def offline(self) -> Iterator[None]:
        limits = {"offline": True, "latency": 0, "downloadThroughput": -1, "uploadThroughput": -1}
        self.browser.execute_cdp_cmd("Network.enable", {})
        self.browser.execute_cdp_cmd("Network.emulateNetworkConditions", limits)
        try:
            yield
        finally:
            self.browser.execute_cdp_cmd("Network.emulateNetworkConditions", limits | {"offline": False})
