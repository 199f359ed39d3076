"""Collections of pictures in groups: each group has four colours of its own, from which its pictures differ a little."""

from pathlib import Path
from typing import Literal

import numpy as np

from featurestore import FeatureStore
from tests.featurestore.fakes import paint

KINDS = {
    "sky": ((40, 90, 220), (40, 90, 220), (60, 120, 230), (60, 120, 230)),
    "leaf": ((30, 180, 40), (40, 200, 60), (20, 160, 40), (30, 180, 40)),
    "rust": ((200, 80, 30), (220, 90, 20), (180, 60, 30), (200, 80, 30)),
}


def paint_kind(path: Path, kind: str, seed: int, noise: int = 25) -> Path:
    """Write a picture of a kind."""
    shift = np.random.default_rng([seed, list(KINDS).index(kind)]).integers(-noise, noise + 1, (4, 3))
    four = (np.array(KINDS[kind]) + shift).clip(0, 255).tolist()
    return paint(path, *(tuple(colour) for colour in four))


def group_store(
    folder: Path, encoder: Path, count: int, labels: Literal["none", "folders"] = "folders", split: str = ""
) -> FeatureStore:
    """Index `count` pictures of each kind, in folders named after them."""
    for kind in KINDS:
        for n in range(count):
            paint_kind(folder / "pictures" / split / kind / f"{n:03}.png", kind, n + 1000 * (split == "test"))
    store = FeatureStore.open(folder / "groups.store", encoder)
    store.index(folder / "pictures", labels=labels)
    return store
