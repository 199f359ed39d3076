"""The page in front of a collection that nobody has labelled yet."""

import colorsys
import json
from pathlib import Path

from featurestore import FeatureStore
from tests.featurestore.fakes import paint
from tests.featurestore.gallery.browser.seen import Seen

HUES = {"fire": 0.0, "grass": 0.33, "water": 0.62}  # three kinds of pictures
EACH = 24
TOTAL = EACH * len(HUES)
LABELLED = "SELECT id, label, label_source FROM items WHERE label IS NOT NULL OR labels IS NOT NULL ORDER BY id"
AWKWARD = ["<img src=x onerror=boom()>", "\u202eevil\u202c after", "שלום עולם", "__proto__", "y" * 1000]


class Labelling(Seen):
    """The page in front of a copy of that store."""

    store: Path

    def label(self, query: str = "") -> None:
        """Open the Label view and wait for a picture or for what is said in its place."""
        self.browser.get(f"{self.root}?view=label{query}")
        self.until(
            "return document.querySelector('.one img, .nothing p:not([role=status])') !== null && document.querySelector('.classes') !== null"
        )
        self.js("document.activeElement.blur()")

    def labels(self) -> dict[int, str]:
        """The labels on the disk, by the id of the item."""
        found = FeatureStore.open(self.store).sql(LABELLED).to_pylist()
        return {row["id"]: row["label"] for row in found}

    def make(self, *names: str) -> None:
        """Make classes, each of which labels one picture."""
        for name in names:
            self.press("n")
            self.write(name)
            self.press("ENTER")

    def saved(self) -> None:
        self.until("return document.querySelector('.saving')?.textContent === 'all saved'")

    def name(self) -> str:
        """The name of the picture that is shown."""
        return self.text(".about-item h2")

    def shows(self, name: str) -> None:
        self.until("return document.querySelector('.about-item h2')?.textContent === arguments[0]", name)

    def strip(self) -> list[str]:
        found: list[str] = self.js("return [...document.querySelectorAll('.strip button')].map((b) => b.ariaLabel)")
        return found

    def classes(self) -> dict[str, tuple[str, str]]:
        """Key and number of items of each class, in the order of the page."""
        rows = self.js(
            "return [...document.querySelectorAll('.classes li')].map((l) => [l.querySelector('bdi').textContent, l.querySelector('.key').textContent, l.querySelector('.figure').textContent])"
        )
        return {name: (key, number) for name, key, number in rows}


def given(page: Labelling, labels: dict[int, str]) -> None:
    """Label items as a command does."""
    file = page.store.parent / "labels.jsonl"
    file.write_text("".join(json.dumps({"id": item, "label": label}) + "\n" for item, label in labels.items()))
    FeatureStore.open(page.store).label(file)


def make_flowers(folder: Path, encoder: Path) -> FeatureStore:
    """72 pictures of three kinds, none of them labelled."""
    for number in range(TOTAL):
        hue = (list(HUES.values())[number % len(HUES)] + number / 1000) % 1
        red, green, blue = (int(255 * part) for part in colorsys.hsv_to_rgb(hue, 0.5 + number / 200, 0.9))
        paint(folder / "pictures" / f"{number:03}.png", (red, green, blue), size=160)
    store = FeatureStore.open(folder / "flowers.store", encoder)
    store.index(folder / "pictures")
    return store
