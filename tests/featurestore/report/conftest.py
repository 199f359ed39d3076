"""A store whose figures can be told beforehand: pictures of one colour, in three classes and two splits.

Of each class six are to learn from and four are asked. One that is called leaf is blue, so it is taken for cold; one that is called
warm is green, so it is taken for leaf. The other ten of twelve are named right.
"""

import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from featurestore import FeatureStore
from featurestore.report import gather
from featurestore.report.writing import Report
from tests.featurestore.fakes import Colour, paint

BASES: dict[str, Colour] = {"warm": (250, 40, 20), "leaf": (20, 240, 40), "cold": (30, 20, 245)}
LEARNT, ASKED, DRAWS = 6, 4, 2
MISTAKES = {"test/leaf/0.png": "cold", "test/warm/1.png": "leaf"}  # and what they are taken for
SIZES = (8, 16, 24, 96)


def draw_source(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    for label, base in BASES.items():
        for split, n in (("train", LEARNT), ("test", ASKED)):
            for number in range(n):
                name = f"{split}/{label}/{number}.png"
                near = BASES.get(MISTAKES.get(name, ""), base)
                red, green, blue = (int(v) for v in np.clip(rng.normal(near, 8), 0, 255))
                paint(folder / name, (red, green, blue), size=SIZES[number % len(SIZES)])
    return folder


@pytest.fixture(scope="session")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source; not to be changed."""
    return draw_source(tmp_path_factory.mktemp("drawn"))


@pytest.fixture(scope="session")
def labelled_path(tmp_path_factory: pytest.TempPathFactory, encoder: Path, drawn: Path) -> Path:
    path = tmp_path_factory.mktemp("labelled") / "colours of 2026.store"
    FeatureStore.open(path, encoder).index(drawn, labels="folders")
    return path


@pytest.fixture(scope="session")
def labelled(labelled_path: Path) -> FeatureStore:
    """For tests that only read."""
    return FeatureStore.open(labelled_path)


@pytest.fixture(scope="package", autouse=True)
def few_draws() -> Iterator[None]:
    """Curves of few labels by less work."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(gather, "TRIES", DRAWS)
        yield


@pytest.fixture(scope="package")
def made(labelled: FeatureStore) -> Report:
    """The report of that store, of seed 0."""
    return labelled.report()


@pytest.fixture
def copied(tmp_path: Path, labelled_path: Path) -> FeatureStore:
    """A copy, for one test."""
    return FeatureStore.open(shutil.copytree(labelled_path, tmp_path / "copied.store"))
