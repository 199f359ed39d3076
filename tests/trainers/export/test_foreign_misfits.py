"""A network from elsewhere that cannot be an encoder is refused with the cause and what to do."""

from pathlib import Path
from typing import Any, cast

import onnx
import pytest
from onnx import TensorProto, helper

from featurestore.encoders import write as encoder_file
from featurestore.errors import ConfigError, EncoderError, ExportError
from tests.featurestore import fakes
from tests.trainers.export.foreign import export
from tests.trainers.export.onnx_networks import (
    clip,
    convolutional,
    fixed,
    giving,
    linear,
    preprocess_file,
    save,
    taking,
)
from trainers.export.targets import export_encoder

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


def test_the_same_vector_for_every_image_is_refused(tmp_path: Path) -> None:
    with pytest.raises(
        ExportError, match="gives the same vector for 7 different check images; nothing was written; check mean and std"
    ):
        export(giving(helper.make_node("Sub", ["own", "own"], ["vector"])), tmp_path)


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


def test_an_encoder_file_is_told_that_it_needs_none(tmp_path: Path) -> None:
    own = fakes.write_encoder(tmp_path / "own.onnx")
    for given in (None, preprocess_file(tmp_path / "p.toml")):
        with pytest.raises(ConfigError, match="has a card already; use it as it is"):
            export_encoder(str(own), tmp_path / "encoder.onnx", preprocess=given)


def test_a_network_without_its_preprocessing_is_refused(tmp_path: Path) -> None:
    path = save(convolutional(), tmp_path / "other.onnx")
    with pytest.raises(ConfigError, match="expected --preprocess FILE"):
        export_encoder(str(path), tmp_path / "encoder.onnx")
