"""A network from elsewhere, given its preprocessing, is an encoder file that says what the network says."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from featurestore.encoders.encoder import Encoder
from tests.trainers.export.foreign import MEAN, STD, by_hand, export
from tests.trainers.export.onnx_networks import SIZE, clip, convolutional, fixed, giving, linear, make, preprocess_file
from tests.trainers.runs import Notes
from trainers.export.preprocess_file import read_preprocess
from trainers.export.targets import export_encoder


def test_the_encoder_says_what_the_network_says_of_normalised_images(tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    model = convolutional()
    encoder = export(model, tmp_path)
    np.testing.assert_allclose(encoder.encode(pixels), by_hand(model, pixels), atol=1e-4)
    assert (encoder.dim, encoder.card.method, encoder.card.backbone, encoder.card.branch) == (
        24,
        "foreign",
        "other",
        "vector",
    )
    assert encoder.preprocess == read_preprocess(tmp_path / "preprocess.toml").record
    assert str(tmp_path) not in encoder.card.to_json()


@pytest.mark.parametrize(("pool", "take"), [("cls", lambda y: y[:, 0]), ("mean", lambda y: y.mean(axis=1))])
def test_tokens_become_one_vector(pool: str, take: Any, tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    model = linear()
    encoder = export(model, tmp_path, pool=pool)
    np.testing.assert_allclose(encoder.encode(pixels), take(by_hand(model, pixels)), atol=1e-4)


def test_a_value_within_the_graph_can_be_the_output(tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    """As the last map before a classifier; what comes after it is left out of the file."""
    model = convolutional()
    encoder = export(model, tmp_path, output="map", pool="mean")
    np.testing.assert_allclose(encoder.encode(pixels), by_hand(model, pixels), atol=1e-4)
    early = export(model, tmp_path, output="b", pool="mean")
    assert early.dim == 16
    names = {tensor.name for tensor in onnx.load(early.path).graph.initializer}
    assert names == {"network/first", "scale", "shift"}


def test_channels_may_come_last(tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    mean = helper.make_node("ReduceMean", ["pixels"], ["vector"], axes=[1, 2], keepdims=0)
    flat = make([mean], {}, ["N", SIZE, SIZE, 3], ["N", 3])
    same = make([helper.make_node("Identity", ["pixels"], ["vector"])], {}, ["N", SIZE, SIZE, 3], ["N", SIZE, SIZE, 3])
    expected = (pixels.mean(axis=(1, 2)) / 255 - MEAN) / STD
    for model, pool in ((flat, "none"), (same, "mean")):
        np.testing.assert_allclose(
            export(model, tmp_path, layout="nhwc", pool=pool).encode(pixels), expected, atol=1e-4
        )


@pytest.mark.parametrize(("kind", "own"), [(TensorProto.FLOAT16, np.float16), (TensorProto.DOUBLE, np.float64)])
def test_networks_of_other_precisions_get_and_give_what_they_want(
    kind: int, own: type, tmp_path: Path, pixels: NDArray[np.uint8]
) -> None:
    nodes = [helper.make_node("ReduceMean", ["pixels"], ["vector"], axes=[2, 3], keepdims=0)]
    model = make(nodes, {}, ["N", 3, SIZE, SIZE], ["N", 3], kind=kind)
    vectors = export(model, tmp_path).encode(pixels)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, by_hand(model, pixels, own), atol=0.01)


@pytest.mark.parametrize("as_node", [False, True])
def test_a_batch_of_one_is_made_free(as_node: bool, tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    model = convolutional(batch=1, flatten=np.array([1, 24], np.int64))
    if as_node:  # older exporters write shapes as nodes
        shape = model.graph.initializer.pop()
        assert shape.name == "shape"
        model.graph.node.insert(0, helper.make_node("Constant", [], ["shape"], value=shape))
    encoder = export(model, tmp_path)
    expected = np.concatenate([by_hand(model, pixels[i : i + 1]) for i in range(5)])
    np.testing.assert_allclose(encoder.encode(pixels), expected, atol=1e-4)


def test_a_batch_of_one_that_cannot_be_made_free_is_run_image_by_image(
    tmp_path: Path, pixels: NDArray[np.uint8]
) -> None:
    notes = Notes()
    encoder = export(fixed(1), tmp_path, listener=notes)
    expected = np.concatenate([by_hand(fixed(1), pixels[i : i + 1]) for i in range(5)])
    np.testing.assert_allclose(encoder.encode(pixels), expected, atol=1e-4)
    assert notes.lines == [
        "the network takes a batch of one only, so images go through it one by one, which is slower; export it again with a dynamic batch for full speed"
    ]


def test_weights_beside_the_file_are_taken_in(tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    model = convolutional()
    (tmp_path / "theirs").mkdir()
    other = tmp_path / "theirs" / "other.onnx"
    onnx.save(convolutional(), other, save_as_external_data=True, location="weights.bin", size_threshold=0)
    out = export_encoder(str(other), tmp_path / "e.onnx", preprocess=preprocess_file(tmp_path / "p.toml"))
    shutil.rmtree(tmp_path / "theirs")
    np.testing.assert_allclose(Encoder(out).encode(pixels), by_hand(model, pixels), atol=1e-4)


def test_other_weights_beside_the_same_graph_are_told_apart_on_the_card(tmp_path: Path) -> None:
    other, given = tmp_path / "other.onnx", preprocess_file(tmp_path / "p.toml")
    onnx.save(convolutional(), other, save_as_external_data=True, location="weights.bin", size_threshold=0)
    told = []
    for _ in range(2):
        told.append(
            Encoder(export_encoder(str(other), tmp_path / "e.onnx", preprocess=given)).card.trained_on["weights"]
        )
        weights = np.fromfile(tmp_path / "weights.bin", np.float32)
        (weights * np.float32(0.5)).tofile(tmp_path / "weights.bin")
    assert told[0] != told[1]


def test_another_preprocessing_is_another_encoder(tmp_path: Path) -> None:
    prints = {
        export(convolutional(), tmp_path, **more).fingerprint
        for more in ({}, {"mean": [0.4, 0.5, 0.5]}, {"shorter_side": 24}, {})
    }
    assert len(prints) == 3


def test_what_the_output_does_not_need_is_left_out(tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    notes = Notes()
    encoder = export(clip(), tmp_path, listener=notes, output="image_embeds")
    np.testing.assert_allclose(encoder.encode(pixels), by_hand(convolutional(), pixels), atol=1e-4)
    assert notes.lines == ["image_embeds does not need the inputs input_ids: left out, with what belongs to them"]
    assert not {"network/words", "network/input_ids"} & set(str(onnx.load(encoder.path).graph).split('"'))


def test_a_size_that_the_graph_does_not_say_is_found(tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    model = convolutional()
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("vector", TensorProto.FLOAT, ["N", "D"]))
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["N", "C", "H", "W"]))
    encoder = export(model, tmp_path)
    np.testing.assert_allclose(encoder.encode(pixels), by_hand(model, pixels), atol=1e-4)


def test_probabilities_are_noted(tmp_path: Path) -> None:
    notes = Notes()
    export(giving(helper.make_node("Softmax", ["own"], ["vector"], axis=1)), tmp_path, listener=notes)
    [line] = notes.lines
    assert line.startswith(
        "vector looks like the probabilities of 24 classes; a value before the classifier makes better vectors"
    )
