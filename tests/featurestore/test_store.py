"""FeatureStore at a prompt: what it prints, and which names complete."""

from pathlib import Path

import featurestore
import trainers
from featurestore import FeatureStore


def test_a_store_says_what_it_is(store: FeatureStore, encoder: Path, other_encoder: Path, tmp_path: Path) -> None:
    name = store.encoder_record(None).name
    assert repr(store) == f"<FeatureStore {str(store.path)!r}: 6 items, default encoder {name}>"
    opened = FeatureStore.open(store.path, other_encoder)
    opened.index()
    other = opened.encoder_record(None).name
    assert repr(opened) == f"<FeatureStore {str(store.path)!r}: 6 items, default encoder {name}, others: {other}>"
    assert "nothing indexed yet" in repr(FeatureStore.open(tmp_path / "new.store", encoder))
    assert FeatureStore.open(store.path, name).search(6, k=1).ids.tolist() == [2]  # opened by name


def test_a_broken_store_can_be_looked_at(store: FeatureStore) -> None:
    store.catalog.path.write_bytes(b"x" * 20_000)
    assert "cannot be read as a catalog" in repr(store)
    store.catalog.path.unlink()
    assert "nothing indexed yet" in repr(store)


def test_only_public_names_complete() -> None:
    assert dir(featurestore) == sorted(featurestore.__all__)
    assert dir(trainers) == sorted(trainers.__all__)
