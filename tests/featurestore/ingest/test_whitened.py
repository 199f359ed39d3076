"""An encoder of a store whitened: a file, and vectors that are mapped instead of encoded again."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featurestore import FeatureStore
from featurestore.ann.normalize import unit_rows
from featurestore.encoders import Encoder
from featurestore.errors import EncoderError, EncoderNotInStore
from featurestore.estimators.whitening import fit
from tests.featurestore.commands import Run
from tests.featurestore.fakes import paint

ROUNDED = 2e-3  # of a vector that was stored as float16, and then mapped


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """100 pictures of four colours each, 80 of them of split train."""
    folder = tmp_path_factory.mktemp("pictures")
    rng = np.random.default_rng(0)
    for number in range(100):
        four: Any = [tuple(map(int, colour)) for colour in rng.integers(0, 256, (4, 3))]
        paint(folder / ("train" if number < 80 else "test") / "any" / f"{number:03}.png", *four)
    return folder


@pytest.fixture
def collection(tmp_path: Path, encoder: Path, pictures: Path) -> FeatureStore:
    store = FeatureStore.open(tmp_path / "my.store", encoder)
    store.index(pictures, labels="folders")
    return FeatureStore.open(tmp_path / "my.store")


def test_the_mapped_vectors_are_those_that_the_file_gives(collection: FeatureStore, tmp_path: Path) -> None:
    _, plain, _ = collection.features()
    report = collection.whiten(tmp_path / "white.onnx")
    assert (report.fitted_to, report.split, report.mapped) == (80, "train", 100)
    ids, mapped, _ = collection.features(encoder=report.encoder)
    items = {item["id"]: item for item in collection.sql("SELECT id, path, split FROM items").to_pylist()}
    of_train = np.array([items[item]["split"] == "train" for item in ids])
    white = fit(plain[of_train])
    np.testing.assert_allclose(mapped, unit_rows(white(plain)), atol=ROUNDED)
    made = Encoder(tmp_path / "white.onnx")
    again = made.embed([items[item]["path"] for item in ids])
    np.testing.assert_allclose(mapped, again.vectors, atol=ROUNDED)
    source = collection.info()["encoders"][0]
    assert made.card.whitening == {
        "images": 80, "strength": 0.25, "shrinkage": 3.0, "encoder": source["fingerprint"],
    }  # fmt: skip


def test_items_keep_all_that_is_known_of_them(collection: FeatureStore, tmp_path: Path) -> None:
    before = collection.sql("SELECT * FROM items ORDER BY id")
    collection.whiten(tmp_path / "white.onnx")
    assert collection.sql("SELECT * FROM items ORDER BY id") == before
    assert not FeatureStore.verify(collection.path).damaged
    first, second = collection.info()["encoders"]
    assert first["default"]
    assert second["whitening"]["images"] == 80
    assert second["name"].endswith("-whitened")


def test_again_maps_only_what_is_new(collection: FeatureStore, encoder: Path, tmp_path: Path, pictures: Path) -> None:
    collection.whiten(tmp_path / "white.onnx")
    assert collection.whiten(tmp_path / "white.onnx").mapped == 0
    paint(tmp_path / "more" / "new.png", (9, 99, 9))
    FeatureStore.open(collection.path, encoder).index(tmp_path / "more")
    assert collection.whiten(tmp_path / "white.onnx").mapped == 1
    assert collection.index(pictures, tmp_path / "more").unchanged == 101  # by both encoders


def test_without_a_split_all_items_are_used(tmp_path: Path, encoder: Path, pictures: Path) -> None:
    store = FeatureStore.open(tmp_path / "my.store", encoder)
    store.index(pictures)
    report = store.whiten(tmp_path / "white.onnx")
    assert (report.fitted_to, report.split) == (100, None)


def test_what_cannot_be_whitened_is_named(collection: FeatureStore, tmp_path: Path, encoder: Path) -> None:
    made = collection.whiten(tmp_path / "white.onnx").encoder
    with pytest.raises(EncoderError, match="is whitened already; choose the one that it was made from"):
        collection.whiten(tmp_path / "twice.onnx", made)
    with pytest.raises(EncoderNotInStore):
        collection.whiten(tmp_path / "twice.onnx", "nothing")
    few = FeatureStore.open(tmp_path / "few.store", encoder)
    few.index(paint(tmp_path / "one.png", (1, 2, 3)))
    with pytest.raises(EncoderError, match="expected at least 64 vectors"):
        few.whiten(tmp_path / "twice.onnx")
    assert not (tmp_path / "twice.onnx").exists()


def test_the_command_says_what_was_done_and_what_comes_next(collection: FeatureStore, tmp_path: Path, run: Run) -> None:
    out = tmp_path / "white.onnx"
    code, said, _ = run("whiten", collection.path, "--out", out)
    name = collection.info()["encoders"][1]["name"]
    assert code == 0
    assert said.splitlines() == [
        f"{out}: fitted to 80 vectors of split train; {collection.path} has 100 vectors of it as {name}",
        f"to compare both: featurestore compare {collection.path}; to make it the default: featurestore encoders {collection.path} --default {name}",
    ]
    code, said, _ = run("whiten", collection.path, "--out", out, "--json")
    assert json.loads(said) == {"encoder": name, "file": str(out), "fitted_to": 80, "split": "train", "mapped": 0}
    _, said, _ = run("info", collection.path)
    assert ", whitened on 80" in said
