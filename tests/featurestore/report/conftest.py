"""A store whose figures are known: pictures of one colour, in three classes and two splits.

Each class has six training images and four test images. One labelled leaf is blue, so it is classified as cold; one labelled warm is
green, so it is classified as leaf. The other ten of twelve are classified correctly.
"""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featurestore import FeatureStore
from featurestore.report.build import Limits, build
from featurestore.report.report import Report
from tests.featurestore.fakes import Colour, paint

BASES: dict[str, Colour] = {"warm": (250, 40, 20), "leaf": (20, 240, 40), "cold": (30, 20, 245)}
TRAIN, TEST, DRAWS = 6, 4, 2
MISTAKES = {"test/leaf/0.png": "cold", "test/warm/1.png": "leaf"}  # and their predicted classes
SIZES = (8, 16, 24, 96)


def draw_source(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    for label, base in BASES.items():
        for split, n in (("train", TRAIN), ("test", TEST)):
            for number in range(n):
                name = f"{split}/{label}/{number}.png"
                near = BASES.get(MISTAKES.get(name, ""), base)
                red, green, blue = (int(v) for v in np.clip(rng.normal(near, 8), 0, 255))
                paint(folder / name, (red, green, blue), size=SIZES[number % len(SIZES)])
    return folder


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source; tests only read it."""
    return draw_source(tmp_path_factory.mktemp("drawn"))


@pytest.fixture(scope="session")
def labelled_path(tmp_path_factory: pytest.TempPathFactory, encoder: Path, drawn: Path) -> Path:
    path = tmp_path_factory.mktemp("labelled") / "colours of 2026.store"
    return new_store(path, encoder, drawn).path


@pytest.fixture(scope="session")
def labelled(labelled_path: Path) -> FeatureStore:
    """For tests that only read."""
    return FeatureStore.open(labelled_path)


def report(store: FeatureStore, **options: Any) -> Report:
    """Build a report with few draws of labels and the fastest map."""
    quick: dict[str, Any] = {"limits": Limits(tries=DRAWS), "map": "pca"}
    return build(store, **quick | options)


def written(store: FeatureStore, file: Path, **options: Any) -> str:
    """Build a report, write it to a file, and read that."""
    return report(store, **options).save(file).read_text(encoding="utf-8")


def new_store(path: Path, encoder: Path, source: Path) -> FeatureStore:
    """Index a source with labels from its folders."""
    store = FeatureStore.open(path, encoder)
    store.index(source, labels="folders")
    return store


@pytest.fixture(scope="package")
def made(labelled: FeatureStore) -> Report:
    """The report of that store, with seed 0."""
    return report(labelled)


@pytest.fixture
def copied(tmp_path: Path, labelled_path: Path) -> FeatureStore:
    """A copy, for one test."""
    return FeatureStore.open(shutil.copytree(labelled_path, tmp_path / "copied.store"))
