"""A network from elsewhere, given its preprocessing, is an encoder file that says what the network says."""

import json
import shutil
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator

from featurestore.encoders import write as encoder_file
from featurestore.encoders.encoder import Encoder
from featurestore.errors import ConfigError, EncoderError, ExportError
from featurestore.imaging.preprocess import Preprocess
from tests.featurestore import fakes
from tests.trainers.export.onnx_networks import SIZE, convolutional, linear, make, preprocess_file, save
from trainers.export.preprocess_file import ForeignPreprocess, read_preprocess
from trainers.export.targets import export_encoder

MEAN, STD = np.array([0.4, 0.5, 0.6]), np.array([0.2, 0.25, 0.3])


@pytest.fixture
def pixels() -> NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 256, (5, SIZE, SIZE, 3), np.uint8)


def export(model: onnx.ModelProto, folder: Path, **reading: Any) -> Encoder:
    path = save(model, folder / "other.onnx")
    given = preprocess_file(folder / "preprocess.toml", **reading)
    return Encoder(export_encoder(str(path), folder / "encoder.onnx", preprocess=given))


def by_hand(model: onnx.ModelProto, pixels: NDArray[np.uint8], kind: type = np.float32) -> NDArray[Any]:
    """What the network itself gives for the images, normalised here, in onnx's own reference implementation."""
    x = ((pixels / 255 - MEAN) / STD).transpose(0, 3, 1, 2).astype(kind)
    results: Any = ReferenceEvaluator(model).run(None, {"pixels": x})
    return np.asarray(results[0])


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


def test_half_precision_networks_get_and_give_what_they_want(tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    nodes = [helper.make_node("GlobalAveragePool", ["pixels"], ["m"]), helper.make_node("Flatten", ["m"], ["vector"])]
    model = make(nodes, {}, ["N", 3, SIZE, SIZE], ["N", 3], kind=TensorProto.FLOAT16)
    vectors = export(model, tmp_path).encode(pixels)
    assert vectors.dtype == np.float32
    np.testing.assert_allclose(vectors, by_hand(model, pixels, np.float16), atol=0.01)


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


def test_a_batch_that_cannot_be_made_free_is_refused(tmp_path: Path) -> None:
    model = convolutional(batch=1, flatten=np.array([24, 1], np.int64))
    model.graph.node.append(helper.make_node("Transpose", ["vector"], ["row"], perm=[1, 0]))
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("row", TensorProto.FLOAT, [1, 24]))
    with pytest.raises(ExportError, match=r"as an encoder it does not run.*dynamic batch"):
        export(model, tmp_path)
    assert not (tmp_path / "encoder.onnx").exists()


def test_a_network_that_looks_at_its_neighbours_is_refused(tmp_path: Path) -> None:
    model = convolutional()
    model.graph.node[-1].output[0] = "own"
    model.graph.node.append(helper.make_node("ReduceMean", ["own"], ["all"], axes=[0]))
    model.graph.node.append(helper.make_node("Sub", ["own", "all"], ["vector"]))
    with pytest.raises(ExportError, match="another vector in a batch of 7 than alone"):
        export(model, tmp_path)


def test_a_network_that_gives_no_numbers_is_refused(tmp_path: Path) -> None:
    model = convolutional()
    model.graph.node[-1].output[0] = "own"
    model.graph.node.append(helper.make_node("Log", ["own"], ["vector"]))
    with pytest.raises(ExportError, match="not finite"):
        export(model, tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["other.onnx", "preprocess.toml"]


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


@pytest.mark.parametrize(
    "error", [ValueError("exceeds maximum protobuf size of 2GB"), RuntimeError("Failed to serialize proto")]
)
def test_a_network_that_protobuf_cannot_write_is_refused(error: Exception) -> None:
    class Vast:
        graph = onnx.GraphProto()

        def SerializeToString(self, **options: Any) -> bytes:
            raise error

    with pytest.raises(ExportError, match=f"at most 2 GB.*{error}"):
        encoder_file.serialise(cast(onnx.ModelProto, Vast()))


def test_a_network_too_large_for_one_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoder_file, "LARGEST", 1000)
    with pytest.raises(ExportError, match="at most 2 GB"):
        export(convolutional(), tmp_path)
    assert not (tmp_path / "encoder.onnx").exists()


def test_another_preprocessing_is_another_encoder(tmp_path: Path) -> None:
    prints = {
        export(convolutional(), tmp_path, **more).fingerprint
        for more in ({}, {"mean": [0.4, 0.5, 0.5]}, {"shorter_side": 24}, {})
    }
    assert len(prints) == 3


def test_an_encoder_file_is_told_that_it_needs_none(tmp_path: Path) -> None:
    own = fakes.write_encoder(tmp_path / "own.onnx")
    for given in (None, preprocess_file(tmp_path / "p.toml")):
        with pytest.raises(ConfigError, match="has a card already; use it as it is"):
            export_encoder(str(own), tmp_path / "encoder.onnx", preprocess=given)


def test_a_network_without_its_preprocessing_is_refused(tmp_path: Path) -> None:
    path = save(convolutional(), tmp_path / "other.onnx")
    with pytest.raises(ConfigError, match="expected --preprocess FILE"):
        export_encoder(str(path), tmp_path / "encoder.onnx")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"size": 8}, r"expected an input of float \(B, 3, 8, 8\), as its preprocess file says"),
        ({"layout": "nhwc"}, r"correct size or layout"),
        ({"pool": "cls"}, r"has the shape \[0, 24\].*set pool or output"),
        ({"output": "nothing"}, r"such as \['vector'\]; found 'nothing'"),
        ({"output": "map"}, r"has the shape \[0, 24, 5, 5\].*pool is 'none'"),
    ],
)
def test_a_preprocess_file_that_does_not_fit_is_named(more: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        export(convolutional(), tmp_path, **more)


def test_of_several_outputs_one_must_be_named(tmp_path: Path) -> None:
    model = convolutional()
    model.graph.output.append(helper.make_tensor_value_info("map", TensorProto.FLOAT, ["N", 24, 5, 5]))
    with pytest.raises(ConfigError, match=r"has the outputs \['vector', 'map'\]; name one"):
        export(model, tmp_path)


def test_a_second_input_is_refused(tmp_path: Path) -> None:
    model = convolutional()
    model.graph.input.append(helper.make_tensor_value_info("prompt", TensorProto.FLOAT, ["N", 4]))
    with pytest.raises(ConfigError, match=r"one input, the images; found \['pixels', 'prompt'\]"):
        export(model, tmp_path)


def test_a_file_that_is_no_network_is_refused(tmp_path: Path) -> None:
    (tmp_path / "other.onnx").write_bytes(b"no network")
    given = preprocess_file(tmp_path / "p.toml")
    with pytest.raises(EncoderError, match="expected an ONNX file"):
        export_encoder(str(tmp_path / "other.onnx"), tmp_path / "encoder.onnx", preprocess=given)
    with pytest.raises(EncoderError, match="No such file"):
        export_encoder(str(tmp_path / "none.onnx"), tmp_path / "encoder.onnx", preprocess=given)


# -- the preprocess file


def test_toml_and_json_say_the_same(tmp_path: Path) -> None:
    toml = preprocess_file(tmp_path / "p.toml", layout="nhwc", pool="mean", output="x")
    values = {"size": 16, "shorter_side": 20, "resize": "shorter", "interpolation": "bilinear", "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.25, 0.3]}  # fmt: skip
    (tmp_path / "p.json").write_text(json.dumps({**values, "layout": "nhwc", "pool": "mean", "output": "x"}))
    expected = ForeignPreprocess(
        Preprocess(16, 20, "shorter", "bilinear", (0.4, 0.5, 0.6), (0.2, 0.25, 0.3)), "nhwc", "x", "mean"
    )
    assert read_preprocess(toml) == read_preprocess(tmp_path / "p.json") == expected


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"mean": None}, "expected size, shorter_side, resize, interpolation, mean, std.*found interpolation, resize"),
        ({"colour": "rgb"}, "found colour, interpolation"),
        ({"size": "sixteen"}, "whole numbers as size"),
        ({"std": [0.0, 1.0, 1.0]}, "three positive stds"),
        ({"resize": "longer"}, "resize 'longer'"),
        ({"layout": "chw"}, "a layout of"),
        ({"pool": "max"}, "a pool of"),
        ({"output": 3}, "texts as resize, interpolation and output"),
        ({"size": 16.5}, "whole numbers as size"),
        ({"mean": ["a", "b", "c"]}, "lists of numbers as mean"),
        (
            {"mean": [123.675, 116.28, 103.53], "std": [58.395, 57.12, 57.375]},
            r"pixels from 0 to 1, found .*give mean = \[0.485, 0.456, 0.406\] and std = \[0.229, 0.224, 0.225\]",
        ),
        ({"mean": [127.5, 127.5, 127.5]}, r"give mean = \[0.5, 0.5, 0.5\]"),
    ],
)
def test_a_mistake_in_the_preprocess_file_is_named(more: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=message):
        read_preprocess(preprocess_file(tmp_path / "p.toml", **more))


def test_a_preprocess_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    (tmp_path / "p.toml").write_text("size = ")
    for path in (tmp_path / "p.toml", tmp_path / "none.json"):
        with pytest.raises(ConfigError, match="expected a TOML or JSON file"):
            read_preprocess(path)


def test_the_example_of_the_page_is_one(tmp_path: Path) -> None:
    page = (Path(__file__).parents[3] / "docs" / "guides" / "own-onnx.md").read_text(encoding="utf-8")
    (tmp_path / "p.toml").write_text(page.partition("```toml\n")[2].partition("```")[0], encoding="utf-8")
    reading = read_preprocess(tmp_path / "p.toml")
    assert (reading.record.shorter_side, reading.layout, reading.output, reading.pool) == (
        256,
        "nchw",
        "flatten",
        "none",
    )
