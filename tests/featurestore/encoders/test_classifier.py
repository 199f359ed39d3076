"""Encoder and classifier in one file: what it says is what the store says, whatever the encoder's graph looks like."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from PIL import Image

from featurestore import Classifier, Encoder, FeatureStore
from featurestore.ann.normalize import unit_rows
from featurestore.classification.record import from_record
from featurestore.encoders import graph_edit
from featurestore.encoders.card import Card
from featurestore.errors import ConfigError, EncoderError, ExportError, ImageError, QueryError
from featurestore.sources import Failure
from tests.featurestore.commands import Run, answer
from tests.featurestore.encoders.graphs import BIAS, CHANGES, WEIGHTS, joined, with_attention
from tests.featurestore.evaluation.labelled import labelled_store, random_entries
from tests.featurestore.fakes import CARD, DIM, SIZE, paint, write_encoder
from tests.featurestore.metadata.annotated import said

NOISE: NDArray[np.uint8] = np.random.default_rng(1).integers(0, 256, (7, SIZE, SIZE, 3)).astype(np.uint8)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, encoder: Path) -> FeatureStore:
    """A store of 80 pictures with a classifier; only read."""
    store = labelled_store(tmp_path_factory.mktemp("trained"), encoder, random_entries(True, 80))
    store.train_classifier("kind", "ridge")
    store.apply_classifier("kind")
    return store


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory, trained: FeatureStore) -> Path:
    out = tmp_path_factory.mktemp("exported") / "kind.onnx"
    assert trained.export_classifier("kind", out) == 32
    return out


# -- what is exported


def test_the_file_says_what_encoder_and_classifier_say(trained: FeatureStore, exported: Path, encoder: Path) -> None:
    session = onnxruntime.InferenceSession(exported)  # as a program without featurestore runs it
    assert [entry.name for entry in session.get_inputs()] == ["pixels"]
    assert [entry.name for entry in session.get_outputs()] == ["vector", "probabilities"]
    vectors, probabilities = session.run(None, {"pixels": NOISE})
    expected = unit_rows(Encoder(encoder).encode(NOISE))
    np.testing.assert_allclose(vectors, expected, atol=1e-6)
    model = from_record(trained.catalog.classifiers.get("kind"), DIM)
    np.testing.assert_allclose(probabilities, model.probabilities(expected), atol=1e-5)
    np.testing.assert_allclose(probabilities.sum(axis=1), 1, atol=1e-6)
    np.testing.assert_allclose(session.run(None, {"pixels": NOISE[:1]})[1], probabilities[:1], atol=1e-6)


def test_the_card_names_the_classes_and_how_they_were_learnt(
    trained: FeatureStore, exported: Path, encoder: Path
) -> None:
    card, before = Encoder(exported).card, Encoder(encoder).card
    assert card.classes == ("class0", "class1", "class2")
    assert (card.preprocess, card.method, card.trained_on) == (before.preprocess, before.method, before.trained_on)
    facts = card.classifier
    assert (facts["method"], facts["encoder"], facts["n_train"]) == ("ridge", Encoder(encoder).fingerprint, 53)
    assert facts["temperature"] == trained.catalog.classifiers.get("kind").card["temperature"]


def test_every_image_of_the_store_gets_the_same_class(trained: FeatureStore, exported: Path) -> None:
    classifier = Classifier(exported)
    paths = trained.sql("SELECT id, path FROM items ORDER BY id").to_pylist()
    for name in ("kind", "kind_confidence"):
        stored = said(trained, name)
        for row in paths[::5]:
            [(label, probability), *_] = classifier.classify(row["path"])
            value = label if name == "kind" else pytest.approx(probability, abs=2e-3)
            assert stored[row["id"]] == value


def test_it_can_make_the_vectors_of_a_store(tmp_path: Path, exported: Path, encoder: Path, colours: Path) -> None:
    store = FeatureStore.open(tmp_path / "my.store", exported)
    assert store.index(colours, labels="folders").added == 6
    plain = FeatureStore.open(tmp_path / "plain.store", encoder)
    plain.index(colours)
    np.testing.assert_allclose(store.features()[1], plain.features()[1], atol=1e-3)
    store.train_classifier("again", "nearest-mean")  # and be joined with another classifier
    store.export_classifier("again", tmp_path / "again.onnx")
    again = Encoder(tmp_path / "again.onnx")
    assert again.card.classes == ("mixed", "plain", "primary")
    assert again.probabilities(NOISE).shape == (7, 3)


@pytest.mark.parametrize("change", CHANGES)
def test_encoders_of_every_make_can_be_joined(tmp_path: Path, change: Callable[[Path], None]) -> None:
    path = write_encoder(tmp_path / "encoder.onnx")
    change(path)
    before = Encoder(path)
    joined(path)
    after = Encoder(path)
    vectors = unit_rows(before.encode(NOISE))
    np.testing.assert_allclose(after.encode(NOISE), vectors, atol=1e-6)
    exps = np.exp(vectors @ WEIGHTS + BIAS)
    np.testing.assert_allclose(after.probabilities(NOISE), exps / exps.sum(axis=1, keepdims=True), atol=1e-5)
    if change is with_attention:
        np.testing.assert_allclose(after.attention(NOISE), before.attention(NOISE), atol=1e-6)
    else:
        with pytest.raises(EncoderError, match="has no attention"):
            after.attention(NOISE)


# -- what is not


def with_another_bias(network: Any, weights: Any, bias: Any, append: Any = graph_edit.append_classifier) -> Any:
    return append(network, weights, bias + np.array([0, 0.01, 0], np.float32))


def broken(*arguments: Any) -> None:
    raise ValueError("an old graph")


@pytest.mark.parametrize(
    ("join", "reason"),
    [
        (with_another_bias, "disagrees with the encoder and the classifier run one after the other: .* nothing was written"),
        (broken, r"its graph cannot be joined with a classifier \(an old graph\)"),
    ],
)  # fmt: skip
def test_a_file_that_fails_or_disagrees_is_not_written(
    trained: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, join: Any, reason: str
) -> None:
    monkeypatch.setattr(graph_edit, "append_classifier", join)
    with pytest.raises(ExportError, match=reason):
        trained.export_classifier("kind", tmp_path / "kind.onnx")
    assert list(tmp_path.iterdir()) == []


def test_vectors_that_the_encoder_does_not_make_are_noticed(tmp_path: Path, encoder: Path) -> None:
    store = labelled_store(tmp_path, encoder, random_entries(False, 12))
    store.train_classifier("kind", "nearest-mean")
    [path] = (store.path / "vectors").iterdir()
    vectors = np.fromfile(path, np.float16).reshape(12, DIM)
    vectors[::-1].tofile(path)
    with pytest.raises(ExportError, match="disagrees with the vectors in the store"):
        FeatureStore.open(store.path).export_classifier("kind", tmp_path / "kind.onnx")
    assert not (tmp_path / "kind.onnx").exists()


def test_images_that_changed_or_are_gone_are_left_out(tmp_path: Path, encoder: Path) -> None:
    store = labelled_store(tmp_path, encoder, random_entries(False, 6))
    store.train_classifier("kind", "nearest-mean")
    first, second, *_ = sorted((tmp_path / "source").rglob("*.png"))
    first.unlink()
    paint(second, (1, 2, 3))
    assert store.export_classifier("kind", tmp_path / "kind.onnx") == 4
    for path in (tmp_path / "source").rglob("*.png"):
        path.unlink()
    assert store.export_classifier("kind", tmp_path / "kind.onnx") == 0
    assert len(Classifier(tmp_path / "kind.onnx").classes) == 3


def test_what_is_missing_is_said(trained: FeatureStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(QueryError, match="classifier 'other': the store has 'kind'; train one first"):
        trained.export_classifier("other", tmp_path / "x.onnx")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"onnx.*pip install 'featurestore\[eval\]'"):
        trained.export_classifier("kind", tmp_path / "x.onnx")


def test_the_card_of_an_encoder_says_nothing_of_classes() -> None:
    assert not {"classes", "classifier"} & set(json.loads(CARD.to_json()))
    both = replace(CARD, classes=("a", "b\t\x1b[2J"), classifier={"method": "ridge"})
    assert Card.from_json(both.to_json(), "x.onnx") == both


# -- what images are


def test_a_picture_may_come_from_a_program(exported: Path, colours: Path) -> None:
    classifier = Classifier(exported)
    red = colours / "primary" / "red.png"
    with Image.open(red) as image:
        from_program = classifier.classify(image)
    assert from_program == classifier.classify(red) == classifier.classify(str(red))
    assert [label for label, _ in sorted(from_program, key=lambda one: -one[1])] == [label for label, _ in from_program]
    assert sum(p for _, p in from_program) == pytest.approx(1)


def test_one_bad_file_does_not_stop_the_others(exported: Path, colours: Path, tmp_path: Path) -> None:
    (tmp_path / "no.jpg").write_bytes(b"no image")
    black = paint(tmp_path / "black.png", (0, 0, 0))
    good = colours / "primary" / "red.png"
    found = dict(Classifier(exported).classify_each([tmp_path / "no.jpg", tmp_path / "absent.jpg", black, good]))
    reasons = [value.reason for value in found.values() if isinstance(value, Failure)]
    for reason, words in zip(reasons, ("not an image", "no such file", "cannot be classified"), strict=True):
        assert words in reason
    assert found[str(good)] == Classifier(exported).classify(good)
    with pytest.raises(ImageError, match=r"black\.png': cannot be classified"):
        Classifier(exported).classify(black)


def test_an_encoder_is_no_classifier(encoder: Path) -> None:
    with pytest.raises(EncoderError, match="is not a classifier; make one from the labels of a store"):
        Classifier(encoder)


def test_the_command_exports_and_says_what_images_are(
    trained: FeatureStore, tmp_path: Path, colours: Path, run: Run
) -> None:
    out = tmp_path / "kind.onnx"
    assert answer(run, "classify", trained.path, "--export", out, "--name", "kind") == {"file": str(out), "images": 32}
    red = colours / "primary" / "red.png"
    [found] = answer(run, "classify", out, red)
    assert found["path"] == str(red)
    assert [(one["label"], one["probability"]) for one in found["classes"]] == Classifier(out).classify(red)
    status, text, err = run("classify", out, red, tmp_path / "absent.jpg", "-k", "1")
    assert (status, len(text.splitlines())) == (1, 2)
    assert text.splitlines()[1].split()[1] == found["classes"][0]["label"]
    assert "absent.jpg': expected an image; no such file" in err
    _, text, _ = run("classify", trained.path, "--export", out, "--name", "kind")
    assert text.startswith(f"kind and its encoder written to {out}, checked with 32 images of the store")
