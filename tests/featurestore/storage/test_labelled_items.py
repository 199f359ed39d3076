"""The labelled items of a store."""

from pathlib import Path

import numpy as np
import pytest

from featurestore import FeatureStore
from featurestore.storage.labelled_items import LabelledItems
from tests.featurestore.evaluation.labelled import labelled_store
from tests.featurestore.fakes import unit


def labelled_of(store: FeatureStore) -> LabelledItems:
    return store.labelled_items()


ENTRIES = [
    ("train/b", (255, 0, 0)),
    ("test/a", (0, 255, 0)),
    ("train/a", (0, 0, 255)),
    ("val/a", (9, 9, 9)),
    ("train", (8, 9, 9)),
]


def test_items_with_labels_by_split(tmp_path: Path, encoder: Path) -> None:
    store = labelled_store(tmp_path, encoder, ENTRIES)
    found = labelled_of(store)
    of = {row["id"]: row for row in store.sql("SELECT id, path, label, split FROM items").to_pylist()}
    assert len(found.ids) == 4  # one has no label
    assert found.names == ["a", "b"]
    for i, item in enumerate(found.ids.tolist()):
        row = of[item]
        assert (found.paths[i], found.names[found.codes[i]]) == (row["path"], row["label"])
        assert (found.train[i], found.test[i]) == (row["split"] == "train", row["split"] == "test")
    assert (found.leave_one_out, found.split, found.n_train, found.n_test) == (False, "train->test", 2, 1)
    assert found.vectors(found.test) == pytest.approx(unit((0, 255, 0))[None], abs=1e-3)
    assert found.vectors(found.test).dtype == np.float32
    assert found.unseen == []


@pytest.mark.parametrize("split", ["train", "test", "val"])
def test_with_one_split_only_all_are_both(tmp_path: Path, encoder: Path, split: str) -> None:
    found = labelled_of(labelled_store(tmp_path, encoder, [(f"{split}/a", (255, 0, 0)), (f"{split}/b", (0, 255, 0))]))
    assert (found.leave_one_out, found.split) == (True, "leave-one-out")
    assert (found.n_train, found.n_test) == (2, 2)
    assert found.unseen == ["a", "b"]  # each is alone


def test_labels_that_are_numbers_are_text(tmp_path: Path, encoder: Path) -> None:
    colours = [(255, 0, 0), (0, 255, 0), (0, 0, 255)]
    store = labelled_store(tmp_path, encoder, list(zip(("10", "9", "007"), colours, strict=True)) * 2)
    assert labelled_of(store).names == ["007", "10", "9"]


def test_an_item_that_lost_its_label_does_not_count_nor_harm(
    store: FeatureStore, tmp_path: Path, colours: Path
) -> None:
    (tmp_path / "labels.csv").write_text(f"path,label\n{colours}/plain/white.png,\n")
    store.label(tmp_path / "labels.csv", clear=True)
    assert labelled_of(store).names == ["mixed", "primary"]
    [row] = store.sql("SELECT row FROM vectors JOIN items ON id = item WHERE label IS NULL")["row"].to_pylist()
    [file] = (store.path / "vectors").iterdir()
    vectors = np.fromfile(file, np.float16).reshape(-1, 12)
    vectors[row] = np.inf
    file.write_bytes(vectors.tobytes())
    assert len(labelled_of(store).ids) == 5
