"""The server as a process: one line, an answer, a clean end; a port that is taken; a kill at any moment."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
import webbrowser
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path

import httpx
import numpy as np
import pytest

from featurestore import FeatureStore
from featurestore.gallery.server import open_browser
from tests.featurestore.commands import Run

ROOT = Path(__file__).parents[3]


@contextmanager
def serving(store: Path, cache: Path, *options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A process of the command, and the line that it printed."""
    words = [
        sys.executable,
        "-c",
        "from featurestore.cli import main; main()",
        "serve",
        str(store),
        "--port",
        "0",
        "--no-browser",
        *options,
    ]
    environment = {**os.environ, "XDG_CACHE_HOME": str(cache)}
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdout=pipe, stderr=pipe, text=True, cwd=ROOT, env=environment) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().strip()
        finally:
            if process.poll() is None:
                process.kill()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_says_where_it_answers_and_ends_cleanly(store_path: Path, tmp_path: Path, number: signal.Signals) -> None:
    with serving(store_path, tmp_path) as (process, line):
        assert line.startswith("http://127.0.0.1:")
        with httpx.Client(follow_redirects=True) as browser:
            page = browser.get(line)
            assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
            assert "token" not in str(page.url)
            assert (
                browser.get(page.url.join("/api/v1/items"), headers={"sec-fetch-site": "same-origin"}).json()["total"]
                == 6
            )
            answer = browser.get(page.url.join("/api/v1/thumbs/1/64"))
            assert answer.headers["content-type"] == "image/webp"
            process.send_signal(number)  # while a connection is open
            out, err = process.communicate(timeout=20)
    assert (process.returncode, out, err) == (0, "", "")
    assert len(list((tmp_path / "featurestore").rglob("*.webp"))) == 1


def test_a_store_can_be_written_while_it_is_served(store_path: Path, tmp_path: Path, colours: Path) -> None:
    with serving(store_path, tmp_path, "--api-only") as (_, line):
        base, _, token = line.partition("/?token=")
        with httpx.Client(base_url=base, headers={"authorization": f"Bearer {token}"}) as program:
            before = program.get("/api/v1/store").json()
            assert program.get("/").status_code == 404
            FeatureStore.open(store_path).delete("id = 1")
            after = program.get("/api/v1/store").json()
            assert (before["items"], after["items"], before["state"] == after["state"]) == (6, 5, False)
            found = program.post("/api/v1/search", json={"items": [2]}).json()["hits"]
            assert 1 not in [hit["id"] for hit in found]


def test_a_port_that_is_taken_is_named(run: Run, store_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        status, out, err = run("serve", store_path, "--port", other.getsockname()[1], "--no-browser")
    assert (status, out) == (1, "")
    assert "is taken, perhaps by another `featurestore serve`; end that one, or choose another port: --port 0" in err


@pytest.mark.parametrize("host", ["no-such-name.invalid", "203.0.113.7"])
def test_an_address_that_is_not_of_this_machine_is_named(run: Run, store_path: Path, host: str) -> None:
    status, _, err = run("serve", store_path, "--host", host, "--port", "0", "--no-browser")
    assert (status, "cannot listen there" in err) == (1, True)


def test_without_the_extra_it_says_what_to_install(run: Run, store_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *rest: None if name in ("starlette", "uvicorn") else find(name, *rest)
    )
    status, _, err = run("serve", store_path)
    assert (status, err) == (
        1,
        "featurestore: this needs starlette, uvicorn, which is not installed: pip install 'featurestore[web]'\n",
    )


@pytest.mark.parametrize(("browser", "opens"), [("window", True), ("terminal", False), (None, False)])
def test_a_browser_with_a_window_is_opened(monkeypatch: pytest.MonkeyPatch, browser: str | None, opens: bool) -> None:
    opened = threading.Event()

    class Window(webbrowser.BackgroundBrowser):
        def open(self, url: str, new: int = 0, autoraise: bool = True) -> bool:
            opened.set()
            return url == "http://127.0.0.1:1/?token=x"

    def get() -> webbrowser.BaseBrowser:
        if browser is None:
            raise webbrowser.Error("could not locate runnable browser")
        return Window("window") if browser == "window" else webbrowser.GenericBrowser("false")

    monkeypatch.setattr(webbrowser, "get", get)
    open_browser("http://127.0.0.1:1/?token=x")
    assert opened.wait(5.0 if opens else 0.1) == opens


KILLS = 30


@pytest.mark.slow
def test_every_label_that_was_answered_survives_a_kill(store_path: Path, tmp_path: Path) -> None:
    """At random moments while two windows label without pause; the next server finds the store as the last one left it."""
    moments = np.random.default_rng(0)
    said: dict[int, str] = {}

    def label(line: str, window: int) -> None:
        address, _, token = line.partition("/?token=")
        with httpx.Client(headers={"authorization": f"Bearer {token}"}) as program, suppress(httpx.HTTPError):
            for n in count(1):
                item, name = 3 * window + n % 3 + 1, f"{time.monotonic_ns()}"
                answer = program.post(f"{address}/api/v1/labels", json={"labels": [{"id": item, "label": name}]})
                assert answer.status_code == 200, answer.text
                said[item] = name

    for _ in range(KILLS):
        with serving(store_path, tmp_path) as (process, line), ThreadPoolExecutor() as windows:
            ended = [windows.submit(label, line, window) for window in (0, 1)]
            time.sleep(moments.uniform(0.05, 0.8))
            process.kill()
            for window in ended:
                window.result()
        found = FeatureStore.open(store_path).sql("SELECT id, label FROM items ORDER BY id").to_pylist()
        there = {row["id"]: row["label"] for row in found}
        # The last one of a window may have been written, and killed before it was answered.
        assert all(int(there[item]) >= int(name) for item, name in said.items())
    assert len(said) == 6
