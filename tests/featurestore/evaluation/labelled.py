"""Stores whose items have labels and splits by their folders."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from featurestore import FeatureStore
from tests.featurestore.fakes import paint

SPLITS, WHOLE = (160, 80), (240, 240)  # items of train and test in stores of 240, with splits and without


def labelled_store(folder: Path, encoder: Path, entries: list[tuple[str, tuple[int, int, int]]]) -> FeatureStore:
    for place, (where, colour) in enumerate(entries):
        paint(folder / "source" / where / f"{place:03}.png", colour)
    store = FeatureStore.open(folder / "my.store", encoder)
    store.index(folder / "source", labels="folders" if any(where != "." for where, _ in entries) else "none")
    return store


def random_entries(splits: bool, count: int = 40) -> list[tuple[str, tuple[int, int, int]]]:
    """Pictures of three classes that overlap, forty or another number; every fourth is a copy of another, every third is for test."""
    rng = np.random.default_rng(5)
    centres = np.array([(200, 60, 60), (60, 200, 60), (140, 140, 60)])
    entries: list[tuple[str, tuple[int, int, int]]] = []
    for place in range(count):
        c = int(rng.integers(3))
        r, g, b = (int(v) for v in np.clip(centres[c] + rng.integers(-60, 61, 3), 1, 255))
        colour = entries[place // 2][1] if place % 4 == 3 else (r, g, b)
        entries.append((f"{'test' if place % 3 == 0 else 'train'}/class{c}" if splits else f"class{c}", colour))
    return entries


def twins_of_test(entries: list[tuple[str, tuple[int, int, int]]]) -> int:
    """Count the pictures of test that are in train, too."""
    train = {colour for where, colour in entries if where.startswith("train/")}
    return sum(where.startswith("test/") and colour in train for where, colour in entries)


def arrays(store: FeatureStore, split: str | None = None) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Vectors and class codes of a store."""
    _, x, labels = store.features(split=split)
    return x, np.unique(labels.astype(str), return_inverse=True)[1]
