"""Stores with copies of pictures, which several modules look for, list or delete."""

import json
import shutil
from pathlib import Path

import pytest

from featurestore import FeatureStore
from featurestore.curation import duplicates
from tests.featurestore.curation.pictures import COPIES, crop, draw, mirror, save
from tests.featurestore.curation.stems import PICTURES


@pytest.fixture(scope="session")
def picture_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Pictures in two splits: an exact copy, one picture with all near copies, and a mirrored one."""
    folder = tmp_path_factory.mktemp("pictures")
    for n in range(PICTURES):
        save(draw(n), folder / "train" / "kind" / f"{n}.png")
    (folder / "test" / "kind").mkdir(parents=True)
    shutil.copy(folder / "train" / "kind" / "3.png", folder / "test" / "kind" / "same.png")
    for n, copy in enumerate(COPIES.values()):
        save(copy(draw(5)), folder / "test" / "kind" / f"near{n}.png")
    save(mirror(draw(8)), folder / "test" / "kind" / "mirrored.png")
    return folder


@pytest.fixture(scope="session")
def pictures(picture_files: Path, tmp_path_factory: pytest.TempPathFactory, encoder: Path) -> FeatureStore:
    """Their store; not to be changed."""
    store = FeatureStore.open(tmp_path_factory.mktemp("stores") / "pictures.store", encoder)
    store.index(picture_files, labels="folders")
    return store


@pytest.fixture(scope="session")
def copied_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty pictures; of one an exact copy, of another a smaller one and a part, of a third a mirrored one."""
    folder = tmp_path_factory.mktemp("pictures")
    for n in range(20):
        save(draw(n), folder / "train" / "kind" / f"{n}.png")
    (folder / "test" / "other").mkdir(parents=True)
    shutil.copy(folder / "train" / "kind" / "3.png", folder / "test" / "other" / "same.png")
    save(draw(5, 60, 45), folder / "test" / "other" / "small.png")
    save(crop(draw(5)), folder / "test" / "other" / "crop.png")
    save(mirror(draw(8)), folder / "test" / "other" / "mirrored.png")
    return folder


@pytest.fixture(scope="session")
def copied_path(copied_files: Path, tmp_path_factory: pytest.TempPathFactory, encoder: Path) -> Path:
    store = FeatureStore.open(tmp_path_factory.mktemp("stores") / "own.store", encoder)
    store.index(copied_files / "train", labels="folders")  # so that its items are older
    store.index(copied_files, labels="folders")
    rows = [
        {"id": n, "week": n % 7 or None, "note": f'a "note", {n}\nof two lines', "day": f"2026-01-{n:02}"} for n in range(1, 25)
    ]  # fmt: skip
    table = store.path.parent / "columns.jsonl"
    table.write_text("".join(json.dumps(row) + "\n" for row in rows))
    store.annotate(table)
    duplicates(store)
    return store.path


@pytest.fixture
def copied(copied_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FeatureStore:
    """A store with copies and columns of the user, in the current folder; for one test."""
    monkeypatch.chdir(tmp_path)
    return FeatureStore.open(shutil.copytree(copied_path, tmp_path / "own.store"))
