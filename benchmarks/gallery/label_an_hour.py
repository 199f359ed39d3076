"""A person who labels in the page, played in Chromium: accuracy by labels and by key presses, with suggestions and in the order of the files."""

import shutil
import statistics
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import numpy as np
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.keys import Keys

from benchmarks.gallery.served import serving
from benchmarks.tables import table
from featurestore import FeatureStore
from featurestore.classification.learning_curve import LearningPoint, measured

SLIPS = 0.05  # share of the labels that name another class than the true one
SECONDS = 30.0  # that the page may take to show the next picture
QUEUES = {"suggestions": "suggestions", "file order": "unlabelled"}  # of the page
ARGUMENTS = ("--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--window-size=1280,860")
STATE = """
    const guess = document.querySelector('.guess bdi');
    const keys = [...document.querySelectorAll('.classes li')].map((row) => [row.querySelector('bdi').textContent, row.querySelector('.key').textContent.toLowerCase()]);
    return {path: document.querySelector('.about-item h2')?.title ?? null, guess: guess && guess.textContent, keys: Object.fromEntries(keys)};
"""


@dataclass
class Sitting:
    """What came of one sitting."""

    presses: list[int] = field(default_factory=list)  # of keys, for each label
    seconds: list[float] = field(default_factory=list)  # from the key to the next picture
    points: tuple[LearningPoint, ...] = ()


class Labeller:
    """Somebody who knows the true class of each picture, which its folder is named after, and slips now and then."""

    def __init__(self, browser: Any, seed: int) -> None:
        self._browser, self._random = browser, np.random.default_rng(seed)

    def label(self, sitting: Sitting, count: int) -> None:
        """Label pictures until there are so many labels, or none is left."""
        state = self._state(None)
        while state is not None and len(sitting.presses) < count:
            keys = self._keys(state)
            began = time.perf_counter()
            ActionChains(self._browser).send_keys(*keys).perform()
            sitting.presses.append(len(keys))
            state = self._state(state["path"])
            sitting.seconds.append(time.perf_counter() - began)

    def _keys(self, state: dict[str, Any]) -> list[str]:
        wanted = Path(state["path"]).parent.name
        known = [name for name in state["keys"] if name != wanted]
        if known and self._random.random() < SLIPS:
            wanted = str(self._random.choice(known))
        if state["guess"] == wanted:
            return [Keys.ENTER]
        return [state["keys"][wanted]] if wanted in state["keys"] else ["n", *wanted, Keys.ENTER]

    def _state(self, before: str | None) -> dict[str, Any] | None:
        """Wait for another picture than the one before; None when there is none."""
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            state: dict[str, Any] = self._browser.execute_script(STATE)
            if state["path"] not in (before, None):
                return state
            if self._browser.execute_script("return document.querySelector('.nothing.end') !== null"):
                return None
            time.sleep(0.005)
        raise click.ClickException(f"no picture after {before} within {SECONDS:g} s")


def sit(store: Path, queue: str, count: int, seed: int) -> Sitting:
    """Label pictures of split train in one sitting, and measure on those of split test."""
    sitting = Sitting()
    options = webdriver.ChromeOptions()
    options.binary_location = str(shutil.which("chromium") or shutil.which("google-chrome"))
    for argument in ARGUMENTS:
        options.add_argument(argument)
    with serving(store) as served:
        browser = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
        try:
            browser.get(f"{served.address}/?token={served.token}")
            browser.get(f"{served.address}/?view=label&queue={queue}&where=path+LIKE+%27%25/train/%25%27")
            Labeller(browser, seed).label(sitting, count)
            until = time.monotonic() + SECONDS
            while browser.execute_script("return document.querySelector('.saving').textContent") != "all saved":
                if time.monotonic() > until:
                    raise click.ClickException("labels were not saved")
                time.sleep(0.1)
        finally:
            browser.quit()
    sitting.points = _measured(FeatureStore.open(store), len(sitting.presses))
    return sitting


def _measured(store: FeatureStore, count: int) -> tuple[LearningPoint, ...]:
    """Measure what was learnt from the labels, in their order, on all pictures of split test."""
    given = store.catalog.labels.in_order()
    if len(given) != count:
        raise click.ClickException(f"{count} labels were given, the store has {len(given)}")
    ids, x, _ = store.features()
    paths = dict(zip(*(column.to_pylist() for column in store.sql("SELECT id, path FROM items").columns), strict=True))
    place = {item: n for n, item in enumerate(ids.tolist())}
    test = [item for item in ids.tolist() if "/test/" in paths[item]]
    names = {name: n for n, name in enumerate(sorted({Path(path).parent.name for path in paths.values()}))}
    codes = np.array([names[name] for name in given["label"].to_pylist()])
    truth = np.array([names[Path(paths[item]).parent.name] for item in test])
    return measured(
        x[[place[item] for item in given["id"].to_pylist()]], codes, x[[place[item] for item in test]], truth
    )


@click.command("label-an-hour")
@click.argument("collection", type=click.Path(path_type=Path, exists=True))
@click.option("--encoder", type=click.Path(path_type=Path, exists=True), required=True)
@click.option("--labels", default=200, show_default=True, help="Labels of a sitting.")
@click.option("--seed", default=0, show_default=True)
def label_an_hour(collection: Path, encoder: Path, labels: int, seed: int) -> None:
    """Label a collection with folders train/CLASS and test/CLASS, twice: by suggestions, and in the order of its files."""
    with tempfile.TemporaryDirectory() as folder:
        fresh = Path(folder) / "fresh.store"
        FeatureStore.open(fresh, encoder).index(collection)
        sittings = {}
        for name, queue in QUEUES.items():
            store = Path(shutil.copytree(fresh, Path(folder) / f"{queue}.store"))
            sittings[name] = sit(store, queue, labels, seed)
    sizes = sorted({point.labels for sitting in sittings.values() for point in sitting.points})
    rows = []
    for size in sizes:
        row = [f"{size}"]
        for sitting in sittings.values():
            found = [point for point in sitting.points if point.labels == size]
            row += [
                f"{found[0].top1:.3f} ({found[0].ci95[0]:.3f}-{found[0].ci95[1]:.3f})" if found else "",
                f"{sum(sitting.presses[:size]):,}",
            ]
        rows.append(row)
    heads = [head for name in sittings for head in (f"{name}: accuracy (95 %)", "key presses")]
    click.echo(f"`{collection.name}`, {100 * SLIPS:g} % of the labels wrong\n")
    table(["labels", *heads], rows)
    for name, sitting in sittings.items():
        high = float(np.percentile(sitting.seconds, 95))
        click.echo(
            f"{name}: from the key to the next picture {1000 * statistics.median(sitting.seconds):.0f} ms, 95 % within {1000 * high:.0f} ms"
        )
