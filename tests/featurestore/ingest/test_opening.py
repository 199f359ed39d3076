"""Where a store is made and where not, and where it may lie."""

import shutil
from pathlib import Path

import pytest

from featurestore import FeatureStore
from featurestore.errors import EncoderError, SourceError, StoreCorrupt, StoreError, StoreNotFound
from tests.featurestore.fakes import write_broken_encoder


def test_a_source_without_images_creates_nothing(empty: FeatureStore, tmp_path: Path) -> None:
    (tmp_path / "void").mkdir()
    (tmp_path / "void" / "notes.txt").touch()
    before = sorted(tmp_path.rglob("*"))
    for sources in ([tmp_path / "void"], [tmp_path / "absent"], [tmp_path / "void", tmp_path / "absent"]):
        with pytest.raises(SourceError, match=r"absent|no image found in"):
            empty.index(*sources)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_that_is_no_store_is_left_alone(tmp_path: Path, encoder: Path, source: Path) -> None:
    for path in (source, source / "red.png"):
        before = sorted(tmp_path.rglob("*"))
        with pytest.raises(StoreError, match="exists and is not a store"):
            FeatureStore.open(path, encoder)
        with pytest.raises(StoreNotFound, match="no store at"):
            FeatureStore.open(path)
        assert sorted(tmp_path.rglob("*")) == before


def test_a_store_that_is_not_there_is_named(tmp_path: Path, encoder: Path) -> None:
    with pytest.raises(StoreNotFound, match="create one: featurestore index"):
        FeatureStore.open(tmp_path / "absent.store")
    opened = FeatureStore.open(tmp_path / "absent.store", encoder)
    for call in (opened.info, opened.failures, lambda: opened.search(1), lambda: opened.knn(1), opened.features):
        with pytest.raises(StoreNotFound, match="expected a store, found nothing there"):
            call()
    assert not (tmp_path / "absent.store").exists()


def test_a_file_that_is_no_encoder_creates_nothing(tmp_path: Path, source: Path) -> None:
    for path in (write_broken_encoder(tmp_path / "half.onnx"), tmp_path / "absent.onnx"):
        with pytest.raises(EncoderError):
            FeatureStore.open(tmp_path / "my.store", path)
    assert not (tmp_path / "my.store").exists()


def test_a_store_may_move(store_path: Path, tmp_path: Path, colours: Path) -> None:
    moved = FeatureStore.open(shutil.move(store_path, tmp_path / "moved.store"))
    assert moved.search(colours / "primary" / "red.png", k=2, with_self=True).ids.tolist() == [6, 2]


def test_vectors_without_their_catalog_are_never_written_over(
    store: FeatureStore, encoder: Path, colours: Path
) -> None:
    [vectors] = (store.path / "vectors").iterdir()
    before = vectors.read_bytes()
    (store.path / "catalog.duckdb").unlink()
    with pytest.raises(StoreCorrupt, match=r"catalog\.duckdb is missing, but the store has vectors"):
        FeatureStore.open(store.path, encoder).index(colours)
    assert vectors.read_bytes() == before
