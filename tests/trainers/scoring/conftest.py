"""A store of noise, and runs to score it by."""

import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from featurestore import FeatureStore
from tests.featurestore.fakes import write_encoder
from tests.trainers.finetuning.finetuned import write_run


@pytest.fixture(scope="session")
def scored_from(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an encoder, and runs of simclr and byol with their first weights; not to be changed."""
    folder = tmp_path_factory.mktemp("runs")
    write_encoder(folder / "encoder.onnx")
    for name in ("simclr", "byol"):
        write_run(folder / name, name)
    return folder


@pytest.fixture
def simclr(scored_from: Path) -> Path:
    return scored_from / "simclr"


@pytest.fixture
def byol(scored_from: Path) -> Path:
    return scored_from / "byol"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Noise, a.png to i.png; the last two are the same."""
    rng = np.random.default_rng(0)
    (tmp_path / "photos").mkdir()
    for name in "abcdefgh":
        Image.fromarray(rng.integers(0, 256, (16, 16, 3), np.uint8)).save(tmp_path / "photos" / f"{name}.png")
    shutil.copy(tmp_path / "photos" / "h.png", tmp_path / "photos" / "i.png")
    return tmp_path / "photos"


@pytest.fixture
def store(tmp_path: Path, photos: Path, scored_from: Path) -> FeatureStore:
    opened = FeatureStore.open(tmp_path / "my.store", scored_from / "encoder.onnx")
    opened.index(photos)
    return opened
