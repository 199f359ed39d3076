"""Milliseconds from a question to the whole answer, by HTTP on this machine."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import click
import httpx
import numpy as np

from benchmarks.gallery.served import Served, in_ms, serving, timed
from benchmarks.tables import table
from featurestore.gallery.items import MOST_IDS

ASKED = 200  # questions of each kind
KEYS, PAUSE = 200, 0.25  # items that are labelled, and seconds between two labels of a window
CLIENTS, EACH = 50, 20  # at once, and questions of each
BATCHES, BATCH = 5, 20  # of suggestions
WARM_SECONDS = 60  # that the server has to read all items


def rows_of(served: Served, seed: int) -> list[tuple[str, str]]:
    """Ask everything: what is measured, and the figures in words."""
    rng = np.random.default_rng(seed)
    began = time.perf_counter()
    first = served.get("items", limit=100)
    found = [("first page of 100 after the start, ms", f"{1000 * (time.perf_counter() - began):,.0f}")]
    total, view = first["total"], first["view"]
    _wait_until_warm(served)
    parts = [served.get("ids", view=view, start=start)["ids"] for start in range(0, total, MOST_IDS)]
    some = rng.choice(np.concatenate(parts), 4 * ASKED + KEYS).tolist()

    def ask(what: str, count: int, question: Callable[[int], object]) -> None:
        found.append((f"{what}, ms", in_ms([timed(question, n) for n in range(count)])))

    offsets = rng.integers(0, max(1, total - 100), ASKED).tolist()
    ask("page of 100 anywhere", ASKED, lambda n: served.get("items", view=view, offset=offsets[n], limit=100))
    for what in ("cold", "warm"):
        ask(f"thumbnail, {what}", ASKED, lambda n: served.client.get(f"thumbs/{some[n]}/256"))
    ask("search by an item, k = 10", ASKED, lambda n: served.send("search", {"items": [some[n]], "k": 10}))
    ask("search by an item, k = 100", ASKED, lambda n: served.send("search", {"items": [some[n]], "k": 100}))
    found.append((f"{CLIENTS} clients at once, search, k = 10, ms", in_ms(_crowd(served, some))))
    found += _labels(served, some[3 * ASKED :])
    found += _loop(served)
    return [*found, ("memory, GB", f"{served.memory():.2f}")]


def _wait_until_warm(served: Served) -> None:
    """Wait until pages come from memory."""
    until = time.monotonic() + WARM_SECONDS
    while timed(served.get, "items", limit=100) > 0.02 and time.monotonic() < until:
        time.sleep(0.5)


def _crowd(served: Served, some: list[int]) -> list[float]:
    def one(start: int) -> list[float]:
        with served.another_client() as client:
            return [
                timed(lambda n=n: client.post("search", json={"items": [some[n % len(some)]], "k": 10}))
                for n in range(start, start + EACH)
            ]

    with ThreadPoolExecutor(CLIENTS) as clients:
        return [seconds for part in clients.map(one, range(0, CLIENTS * EACH, EACH)) for seconds in part]


def _labels(served: Served, some: list[int]) -> list[tuple[str, str]]:
    """From the key to the answer that the label is on the disk: one window, then two at once."""

    def window(number: int) -> tuple[list[float], list[int]]:
        seconds, changes = [], []
        with served.another_client() as client:
            for item in some[number::2]:
                began = time.perf_counter()
                answer = client.post("labels", json={"labels": [{"id": item, "label": f"{time.monotonic_ns()}"}]})
                seconds.append(time.perf_counter() - began)
                changes.append(answer.json()["change"])
                time.sleep(PAUSE)
        return seconds, changes

    found = []
    for windows in (1, 2):
        with ThreadPoolExecutor() as threads:
            parts = list(threads.map(window, range(windows)))
        seconds = [second for part, _ in parts for second in part]
        found.append((f"a label on the disk, {windows} window{'s' * (windows > 1)}, ms", in_ms(seconds)))
        _undo(served, [change for _, changes in parts for change in changes])
    return found


def _loop(served: Served) -> list[tuple[str, str]]:
    """Label batches of suggestions: from the last label of a batch to the next suggestions, the curve and the predictions."""
    seconds: dict[str, list[float]] = {"suggest": [], "learning": [], "predictions": []}
    changes = []
    for _ in range(BATCHES):
        began = time.perf_counter()
        try:
            batch = served.send("suggest", {"count": BATCH})["items"]
        except httpx.HTTPStatusError as error:  # all is labelled
            click.echo(error.response.read().decode(), err=True)
            break
        seconds["suggest"].append(time.perf_counter() - began)
        labels = [{"id": item["id"], "label": f"class {item['id'] % 5}"} for item in batch]
        changes.append(served.send("labels", {"labels": labels})["change"])
        seconds["learning"].append(timed(served.get, "learning"))
        seconds["predictions"].append(timed(served.get, "predictions", label="class 1"))
    _undo(served, changes)
    return [(f"{what} after a batch of {BATCH}, ms", in_ms(times)) for what, times in seconds.items() if times]


def _undo(served: Served, changes: list[int]) -> None:
    for change in changes:
        served.send("labels/undo", {"change": change})


@click.command()
@click.argument("stores", nargs=-1, required=True, type=click.Path(path_type=Path, exists=True))
@click.option("--seed", default=0, show_default=True)
def rest(stores: tuple[Path, ...], seed: int) -> None:
    """Median and 95th percentile of each kind of question."""
    figures, heads = [], []
    for store in stores:
        with serving(store) as served:
            heads.append(f"{served.get('store')['items']:,} items")
            figures.append(dict(rows_of(served, seed)))
    names = list(dict.fromkeys(name for found in figures for name in found))
    table(
        ["what (median, 95th percentile)", *heads],
        [[name, *(found.get(name, "") for found in figures)] for name in names],
    )
