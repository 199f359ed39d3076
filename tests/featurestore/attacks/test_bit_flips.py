"""Flipped bits in each kind of file: the same answers, a named error, or a finding of `verify`; never a crash, a hang or a traceback."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from featurestore import FeatureStore
from featurestore.ann import search as ann_search
from featurestore.encoders.classifier import Classifier
from featurestore.errors import FeatureStoreError
from featurestore.sources.label_file import read_labels
from tests.featurestore.attacks.flips import Flip, Questions, answers, flipped_copies, flips
from tests.featurestore.fakes import paint
from tests.featurestore.life import Life

FLIPS = 200
STORE_FLIPS = 40  # each is answered by a whole store
STEPS = ("index", "label", "annotate", "classify", "build an index")


@pytest.fixture(scope="module")
def lived(tmp_path_factory: pytest.TempPathFactory, encoder: Path) -> Path:
    """A folder with a store that has everything a store can have, and with what was exported from it."""
    life = Life(tmp_path_factory.mktemp("lived"), encoder)
    with pytest.MonkeyPatch.context() as patch:
        life.small(patch.setattr)
        for step in STEPS:
            life.prepare(step)
            life.take(step)
    shutil.copy(life.root / "photos" / "labels.csv", life.root)
    shutil.copy(encoder, life.root / "encoder.onnx")
    paint(life.root / "query.png", (255, 120, 0))
    return life.root


def _hits(store: Path, query: Any) -> Any:
    return FeatureStore.open(store).search(query, k=12).to_json()


def store_questions() -> Questions:
    """Ask a store everything that commands ask; what changes it comes last."""
    ann_search.EXACT_FROM = 1  # the small index is used
    colour = np.tile([255.0, 120.0, 0.0], 4)
    return {
        "by id": lambda folder: _hits(folder / "my.store", 6),
        "by vector": lambda folder: _hits(folder / "my.store", colour),
        "by image": lambda folder: _hits(folder / "my.store", folder / "query.png"),
        "info": lambda folder: FeatureStore.open(folder / "my.store").info(),
        "items": lambda folder: (
            FeatureStore.open(folder / "my.store").sql("SELECT * FROM items ORDER BY id").to_pylist()
        ),
        "verify": lambda folder: [f.place for f in FeatureStore.verify(folder / "my.store").findings if f.damage],
        "label": lambda folder: FeatureStore.open(folder / "my.store").label(folder / "labels.csv").labelled,
    }


def check(before: dict[str, Any], flip: Flip, found: dict[str, Any]) -> None:
    """A flip is answered as if it were not there, or `verify` finds it; answers may differ only where it does."""
    assert "TRACEBACK" not in str(found), (flip, found)
    if found["verify"] == before["verify"]:
        assert found == before, flip


@pytest.mark.slow
@pytest.mark.parametrize("pattern", ["catalog.duckdb", "vectors/*.f16", "indexes/*.faiss", "encoders/*.onnx"])
def test_a_flipped_bit_in_a_store_is_found(tmp_path: Path, lived: Path, pattern: str) -> None:
    [file] = (lived / "my.store").glob(pattern)
    name = str(file.relative_to(lived))
    (_, before), *found = answers(store_questions, lived, tmp_path / "copy", flips(lived, name, STORE_FLIPS, 5))
    assert before["verify"] == []
    assert len(found) == STORE_FLIPS
    for flip, answer in found:
        assert flip is not None
        check(before, flip, answer)
    assert [answer for _, answer in found if answer["verify"]]


@pytest.mark.slow
def test_a_flipped_bit_of_the_index_is_noticed_before_it_is_used(
    tmp_path: Path, lived: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ann_search, "EXACT_FROM", 1)
    name = str(next((lived / "my.store" / "indexes").iterdir()).relative_to(lived))
    query = np.tile([255.0, 120.0, 0.0], 4)
    copy = tmp_path / "copy"
    shutil.copytree(lived / "my.store", copy / "my.store")
    whole = (lived / name).read_bytes()
    exact = FeatureStore.open(copy / "my.store").search(query, exact=True)
    for flip in flips(lived, name, 5, 1):
        flip.apply(copy)
        hits = FeatureStore.open(copy / "my.store").search(query)
        assert hits.ids.tolist() == exact.ids.tolist()
        assert "is not the file that was written" in str(hits.warnings)
        (copy / name).write_bytes(whole)


def test_a_flipped_bit_of_the_footer_of_a_table_does_not_end_the_process(tmp_path: Path) -> None:
    file = tmp_path / "labels.parquet"
    pq.write_table(
        pa.table({"path": ["a.png"], "label": [None]}, pa.schema({"path": pa.string(), "label": pa.string()})), file
    )
    whole = file.read_bytes()
    footer = int.from_bytes(whole[-8:-4], "little")
    refused = 0
    for byte in range(len(whole) - footer - 8, len(whole)):
        Flip(file.name, byte, 6).apply(tmp_path)  # which changes the lengths of lists, too
        try:
            read_labels(file)
        except FeatureStoreError:
            refused += 1
        file.write_bytes(whole)
    assert refused > footer // 4


@pytest.mark.parametrize("count", [2, pytest.param(FLIPS, marks=pytest.mark.slow)])
def test_a_flipped_bit_of_exported_vectors_is_refused_or_harmless(
    tmp_path: Path, indexed: Path, encoder: Path, count: int
) -> None:
    FeatureStore.open(indexed).export_vectors(tmp_path / "whole.parquet")
    expected = imported(tmp_path / "whole.parquet", encoder)
    refused = 0
    for flip, copy in flipped_copies(tmp_path / "whole.parquet", tmp_path / "copy", count, 3):
        try:
            found = imported(copy, encoder)
        except FeatureStoreError:
            refused += 1
        else:
            assert found == expected, flip
    assert refused


def imported(file: Path, encoder: Path) -> tuple[list[dict[str, Any]], bytes]:
    """Import a file into a new store: its items and its vectors."""
    path = file.with_suffix(".store")
    shutil.rmtree(path, ignore_errors=True)
    store = FeatureStore.open(path, encoder)
    store.import_vectors(file)
    rows = store.sql("SELECT * EXCLUDE (added_at) FROM items ORDER BY id").to_pylist()
    return rows, next((path / "vectors").iterdir()).read_bytes()


@pytest.mark.slow
def test_a_flipped_bit_of_an_encoder_that_is_given_makes_another_encoder_or_none(tmp_path: Path, lived: Path) -> None:
    store = lived / "my.store"
    for _, copy in flipped_copies(lived / "encoder.onnx", tmp_path, FLIPS, 4):
        with pytest.raises(FeatureStoreError):  # its fingerprint is another one, so the store does not know it
            FeatureStore.open(store, copy).search(lived / "query.png")


@pytest.mark.slow
def test_a_flipped_bit_of_a_classifier_file_is_named_or_gives_probabilities(tmp_path: Path, lived: Path) -> None:
    FeatureStore.open(lived / "my.store").export_classifier("kind", tmp_path / "whole.onnx")
    for _, copy in flipped_copies(tmp_path / "whole.onnx", tmp_path / "copy", FLIPS, 6):
        try:
            found = Classifier(copy).classify(lived / "query.png")
        except FeatureStoreError:
            continue
        assert len(found) == 2
