"""A network from elsewhere, given its preprocessing, is an encoder file that says what the network says."""

import json
import shutil
from pathlib import Path
from typing import Any, cast

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from featurestore.encoders import write as encoder_file
from featurestore.encoders.encoder import Encoder
from featurestore.errors import ConfigError, EncoderError, ExportError
from featurestore.imaging.preprocess import Preprocess
from featurestore.progress import Listener
from tests.featurestore import fakes
from tests.trainers.export.onnx_networks import SIZE, convolutional, linear, make, preprocess_file, save
from trainers.export.preprocess_file import ForeignPreprocess, read_preprocess
from trainers.export.targets import _preprocess_of, export_encoder

MEAN, STD = np.array([0.4, 0.5, 0.6]), np.array([0.2, 0.25, 0.3])


class Notes(Listener):
    """Remembers what was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def note(self, text: str) -> None:
        self.lines.append(text)


@pytest.fixture
def pixels() -> NDArray[np.uint8]:
    return np.random.default_rng(3).integers(0, 256, (5, SIZE, SIZE, 3), np.uint8)


def export(model: onnx.ModelProto, folder: Path, listener: Listener | None = None, **reading: Any) -> Encoder:
    path = save(model, folder / "other.onnx")
    given = preprocess_file(folder / "preprocess.toml", **reading)
    return Encoder(export_encoder(str(path), folder / "encoder.onnx", preprocess=given, listener=listener))


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


def fixed(batch: int) -> onnx.ModelProto:
    """A network with its batch in more than shapes: a class token that is expanded to it, then added."""
    model = convolutional(batch=batch)
    model.graph.node[-1].output[0] = "own"
    token = np.random.default_rng(2).normal(size=(1, 24)).astype(np.float32)
    for name, value in (("token", token), ("times", np.array([batch, 24], np.int64))):
        model.graph.initializer.append(numpy_helper.from_array(value, name))
    model.graph.node.append(helper.make_node("Expand", ["token", "times"], ["tokens"]))
    model.graph.node.append(helper.make_node("Concat", ["own", "tokens"], ["vector"], axis=1))
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("vector", TensorProto.FLOAT, [batch, 48]))
    return model


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


def test_a_larger_batch_that_cannot_be_made_free_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ExportError,
        match=r"other.onnx: its batch is fixed at 4, and it gives .*; export it again with a dynamic batch$",
    ):
        export(fixed(4), tmp_path)
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
    with pytest.raises(
        ExportError, match="not finite numbers for 7 of 7 check images; nothing was written; check mean and std"
    ):
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


def clip() -> onnx.ModelProto:
    """Images and texts into one space, and how well they agree: as published networks of both come."""
    model = convolutional()
    model.graph.node[-1].output[0] = "image_embeds"
    model.graph.initializer.append(numpy_helper.from_array(np.ones((8, 24), np.float32), "words"))
    model.graph.node.extend([
        helper.make_node("Gather", ["words", "input_ids"], ["embedded"]),
        helper.make_node("ReduceMean", ["embedded"], ["text_embeds"], axes=[1], keepdims=0),
        helper.make_node("Transpose", ["text_embeds"], ["turned"], perm=[1, 0]),
        helper.make_node("MatMul", ["image_embeds", "turned"], ["logits"]),
    ])  # fmt: skip
    model.graph.input.append(helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["N", "T"]))
    del model.graph.output[:]
    for name, columns in (("logits", "N"), ("text_embeds", 24), ("image_embeds", 24)):
        model.graph.output.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", columns]))
    return model


def test_what_the_output_does_not_need_is_left_out(tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    notes = Notes()
    encoder = export(clip(), tmp_path, listener=notes, output="image_embeds")
    np.testing.assert_allclose(encoder.encode(pixels), by_hand(convolutional(), pixels), atol=1e-4)
    assert notes.lines == ["image_embeds does not need the inputs input_ids: left out, with what belongs to them"]
    assert not {"network/words", "network/input_ids"} & set(str(onnx.load(encoder.path).graph).split('"'))


def taking(kind: int, shape: list[int | str]) -> onnx.ModelProto:
    """A network that takes an input of this type and shape."""
    return make([helper.make_node("Flatten", ["pixels"], ["vector"])], {}, shape, ["N", "D"], kind=kind)


def giving(node: onnx.NodeProto, kind: int = TensorProto.FLOAT) -> onnx.ModelProto:
    """The convolutional network with one more node, from "own" to "vector"."""
    model = convolutional()
    model.graph.node[-1].output[0] = "own"
    model.graph.node.append(node)
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("vector", kind, None))
    return model


FLOAT, FILE = TensorProto.FLOAT, "in the preprocess file"
MISFITS: dict[str, tuple[onnx.ModelProto, dict[str, Any], str]] = {
    "size": (convolutional(), {"size": 8}, "its input 'pixels' is float (N, 3, 16, 16): the preprocess file has size = 8; set size = 16"),
    "layout": (
        convolutional(), {"layout": "nhwc"},
        f'its input \'pixels\' is float (N, 3, 16, 16): the colour channels are not where layout = "nhwc" has them; set layout = "nchw" {FILE}',
    ),
    "channels last": (
        taking(FLOAT, ["N", 16, 16, 3]), {},
        f'its input \'pixels\' is float (N, 16, 16, 3): the colour channels are not where layout = "nchw" has them; set layout = "nhwc" {FILE}',
    ),
    "one channel": (
        taking(FLOAT, ["N", 1, 16, 16]), {},
        "its input 'pixels' is float (N, 1, 16, 16): expected three channels, red, green and blue, found 1; export it again with a first layer for three",
    ),
    "not square": (
        taking(FLOAT, ["N", 3, 16, 24]), {},
        "its input 'pixels' is float (N, 3, 16, 24): expected a square, found 16 pixels high and 24 wide; export it again for squares",
    ),
    "bytes": (
        taking(TensorProto.UINT8, ["N", 3, 16, 16]), {},
        "its input 'pixels' is uint8 (N, 3, 16, 16): the network normalises pixels itself; export it again without that step, with a float input",
    ),
    "texts": (
        taking(TensorProto.INT64, ["N", 77]), {},
        "its input 'pixels' is int64 (N, 77): expected float, float16 or double; export it again with such an input",
    ),
    "sounds": (
        taking(FLOAT, ["N", 16000]), {},
        "its input 'pixels' is float (N, 16000): expected images, with four dimensions; export it again for a batch of images",
    ),
    "vectors pooled": (
        convolutional(), {"pool": "cls"},
        f'its output \'vector\' is float32 (B, 24): it is one vector an image already; set pool = "none" {FILE}',
    ),
    "map": (convolutional(), {"output": "map"}, f'its output \'map\' is float32 (B, 24, 5, 5): this is a map; set pool = "mean" {FILE}'),
    "tokens": (
        linear(), {},
        f'its output \'vector\' is float32 (B, 4, 32): these are tokens; set pool = "cls" (the first one) or pool = "mean" {FILE}',
    ),
    "classes": (
        giving(helper.make_node("ArgMax", ["own"], ["vector"], axis=1), TensorProto.INT64), {},
        f"its output 'vector' is int64 (B, 1): expected real numbers; choose an earlier value of the graph by output {FILE}",
    ),
    "no value": (
        convolutional(), {"output": "nothing"},
        "expected output to be a value of the graph, such as ['vector']; found 'nothing'; correct the preprocess file",
    ),
    "outputs": (
        clip(), {},
        "has 3 outputs: logits float (N, N) of pixels, input_ids; text_embeds float (N, 24) of input_ids; image_embeds float (N, 24) of pixels; "
        f"choose one {FILE}, such as output = 'image_embeds'",
    ),
    "two inputs": (
        clip(), {"output": "logits"},
        f"its output 'logits' needs the inputs pixels, input_ids; expected one that needs the images only; choose output = 'image_embeds' {FILE}",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", MISFITS)
def test_what_does_not_fit_is_named_with_what_to_do(case: str, tmp_path: Path) -> None:
    model, reading, message = MISFITS[case]
    with pytest.raises(ConfigError) as caught:
        export(model, tmp_path, **reading)
    assert str(caught.value) == f"{tmp_path / 'other.onnx'}: {message}"
    assert not (tmp_path / "encoder.onnx").exists()


@pytest.mark.parametrize("case", ["opset", "version", "operator"])
def test_a_network_that_onnxruntime_does_not_run_is_named_with_its_words(case: str, tmp_path: Path) -> None:
    model = giving(helper.make_node("Fourier" if case == "operator" else "Identity", ["own"], ["vector"]))
    words = r"Fourier.*; export it again from where it was made"
    if case == "opset":
        model.opset_import[0].version, words = (
            99,
            r"opset.*; it has opset 99 and IR version 8; export it again with opset 20, or upgrade onnxruntime",
        )
    elif case == "version":
        model.ir_version, words = (
            99,
            r"Unsupported model IR version: 99.*; it has opset 17 and IR version 99; export it again with opset 20, or",
        )
    with pytest.raises(ExportError, match=rf"other.onnx: onnxruntime cannot run this network: [^/\[]*{words}"):
        export(model, tmp_path)


def test_a_size_that_the_graph_does_not_say_is_found(tmp_path: Path, pixels: NDArray[np.uint8]) -> None:
    model = convolutional()
    model.graph.output[0].CopyFrom(helper.make_tensor_value_info("vector", FLOAT, ["N", "D"]))
    model.graph.input[0].CopyFrom(helper.make_tensor_value_info("pixels", FLOAT, ["N", "C", "H", "W"]))
    encoder = export(model, tmp_path)
    np.testing.assert_allclose(encoder.encode(pixels), by_hand(model, pixels), atol=1e-4)


def test_the_same_vector_for_every_image_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ExportError, match="gives the same vector for 7 different check images; nothing was written; check mean and std"
    ):
        export(giving(helper.make_node("Sub", ["own", "own"], ["vector"])), tmp_path)


def test_probabilities_are_noted(tmp_path: Path) -> None:
    notes = Notes()
    export(giving(helper.make_node("Softmax", ["own"], ["vector"], axis=1)), tmp_path, listener=notes)
    [line] = notes.lines
    assert line.startswith(
        "vector looks like the probabilities of 24 classes; a value before the classifier makes better vectors"
    )


def test_weights_that_are_not_beside_the_file_are_named(tmp_path: Path) -> None:
    other = tmp_path / "other.onnx"
    onnx.save(convolutional(), other, save_as_external_data=True, location="weights.bin", size_threshold=0)
    (tmp_path / "weights.bin").unlink()
    with pytest.raises(EncoderError) as caught:
        export_encoder(str(other), tmp_path / "e.onnx", preprocess=preprocess_file(tmp_path / "p.toml"))
    assert str(caught.value) == (
        f"{other}: its weights are in weights.bin, expected in the same folder, found none there; copy it beside the ONNX file"
    )


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


def test_bands_of_the_command_go_before_those_of_the_file(tmp_path: Path) -> None:
    given = preprocess_file(tmp_path / "p.toml", bands=[4, 3, 2])
    assert read_preprocess(given).record.bands == (4, 3, 2)
    with pytest.raises(ConfigError, match=r"bands .* make no sense"):
        read_preprocess(preprocess_file(tmp_path / "q.toml", bands=[4, 3]))
    assert _preprocess_of("other.onnx", given, (7,)).record.bands == (7,)


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
