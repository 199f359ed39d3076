"""A source to change, an empty store, a count of what is encoded, and an export of a store for another one."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from featurestore import Encoder, FeatureStore
from tests.featurestore.fakes import COLOURS, paint


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Six pictures that a test may change, all directly in the source."""
    for name, colour in COLOURS.items():
        paint(tmp_path / "source" / f"{name}.png", colour)
    return tmp_path / "source"


@pytest.fixture
def empty(tmp_path: Path, encoder: Path) -> FeatureStore:
    return FeatureStore.open(tmp_path / "my.store", encoder)


@pytest.fixture
def encoded(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many images each batch held that went through an encoder, without what fills it up."""
    batches: list[int] = []
    encode = Encoder.encode

    def counting(self: Encoder, pixels: Any) -> Any:
        batches.append(int(pixels.any(axis=(1, 2, 3)).sum()))
        return encode(self, pixels)

    monkeypatch.setattr(Encoder, "encode", counting)
    return batches


@pytest.fixture(scope="session")
def vectors_file(shared: FeatureStore, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("exported") / "vectors.parquet"
    assert shared.export_vectors(path) == 6
    return path


@pytest.fixture
def exported(vectors_file: Path, tmp_path: Path) -> Path:
    """The vectors of the shared store in a file, for one test."""
    return Path(shutil.copy(vectors_file, tmp_path))


@pytest.fixture
def other(tmp_path: Path, encoder: Path) -> FeatureStore:
    return FeatureStore.open(tmp_path / "other.store", encoder)
