"""Encoder files from strangers: what lies outside the file, asks for too much, or lies about itself is refused."""

import subprocess
import sys
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from onnx import AttributeProto, FunctionProto, ModelProto, NodeProto, TensorProto, helper, numpy_helper

from featurestore import Encoder
from featurestore.encoders.card import CARD_KEY
from featurestore.encoders.onnx_check import check_whole
from featurestore.errors import EncoderError
from tests.featurestore.fakes import CARD, DIM, SIZE, paint

ROOT = Path(__file__).parents[3]
SECOND_FILE = "weights in a second file, which the fingerprint would not cover"
WEIGHTS = np.arange(DIM, dtype=np.float32)
PIXELS = np.zeros((2, SIZE, SIZE, 3), np.uint8)


def model(*nodes: NodeProto, weights: Sequence[TensorProto] = (), output: str = "vector") -> ModelProto:
    """An encoder with a good card whose vectors are `weights` plus zero: of each image when `output` is "vector"."""
    own = [
        helper.make_node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats"], ["grey"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Unsqueeze", ["grey", "last"], ["column"]),
        helper.make_node("Add", ["column", "weights"], ["vector"]),
    ]
    graph = helper.make_graph(
        [*nodes, *own],
        "stranger",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["batch", SIZE, SIZE, 3])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, ["batch", DIM])],
        [numpy_helper.from_array(np.array([1]), "last"), *weights],
    )
    made = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 17), helper.make_opsetid("stranger", 1)], ir_version=8
    )
    helper.set_model_props(made, {CARD_KEY: CARD.to_json()})
    return made


def opened(made: ModelProto, folder: Path) -> Encoder:
    (folder / "stranger.onnx").write_bytes(made.SerializeToString())
    return Encoder(folder / "stranger.onnx", threads=1)


def external(location: str) -> TensorProto:
    tensor = TensorProto(name="weights", data_type=1, dims=[DIM], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=location)
    return tensor


def varint(value: int) -> bytes:
    low, rest = value & 0x7F, value >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def within(message: bytes, *fields: int) -> bytes:
    """The message as a field of others, the innermost first."""
    for field in fields:
        message = bytes([field]) + varint(len(message)) + message
    return message


GRAPH = 0x3A  # field of a model
NODE, TENSOR = 0x0A, 0x2A  # of a graph
ATTRIBUTE, BRANCH = 0x2A, 0x32  # of a node, of an attribute


def constant(tensor: TensorProto, name: str = "weights") -> NodeProto:
    return helper.make_node("Constant", [], [name], value=tensor)


GOOD = numpy_helper.from_array(WEIGHTS, "weights")


# -- a second file


@pytest.mark.parametrize("place", ["beside.bin", "./beside.bin", "../above.bin", "{folder}/beside.bin", "linked.bin", "absent.bin", "*/_ORT_MEM_ADDR_/*"])  # fmt: skip
def test_weights_in_a_second_file_are_refused_wherever_it_lies(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """The last one is onnxruntime's own name for weights that lie in memory: a stranger could read ours."""
    folder = tmp_path / "encoder"
    folder.mkdir()
    for path in (folder / "beside.bin", tmp_path / "above.bin"):
        WEIGHTS.tofile(path)
    (folder / "linked.bin").symlink_to(folder / "beside.bin")
    monkeypatch.chdir(folder)
    with pytest.raises(EncoderError, match=SECOND_FILE):
        opened(model(weights=[external(place.format(folder=folder))]), folder)


def in_a_branch(tensor: TensorProto) -> ModelProto:
    out = [helper.make_tensor_value_info("inner", TensorProto.FLOAT, [DIM])]
    graph = helper.make_graph([constant(tensor, "inner")], "branch", [], out)
    node = helper.make_node("If", ["yes"], ["weights"], then_branch=graph, else_branch=graph)
    return model(node, weights=[numpy_helper.from_array(np.array(True), "yes")])


def in_a_function(tensor: TensorProto) -> ModelProto:
    made = model(helper.make_node("Weights", [], ["weights"], domain="stranger"))
    made.functions.append(
        helper.make_function("stranger", "Weights", [], ["inner"], [constant(tensor, "inner")], [helper.make_opsetid("", 17)])
    )  # fmt: skip
    return made


def in_a_default(tensor: TensorProto) -> ModelProto:
    made = model(weights=[GOOD])
    made.functions.append(
        FunctionProto(name="f", attribute_proto=[AttributeProto(name="t", type=AttributeProto.TENSOR, t=tensor)])
    )
    return made


def in_a_list(tensor: TensorProto) -> ModelProto:
    made = model(weights=[GOOD])
    made.graph.node[0].attribute.append(AttributeProto(name="ts", type=AttributeProto.TENSORS, tensors=[tensor]))
    return made


def in_a_sparse_tensor(tensor: TensorProto) -> ModelProto:
    made = model(weights=[GOOD])
    made.graph.sparse_initializer.add(values=tensor, indices=numpy_helper.from_array(np.arange(DIM)), dims=[DIM])
    return made


@pytest.mark.parametrize(
    "hide", [lambda t: model(constant(t)), in_a_branch, in_a_function, in_a_default, in_a_list, in_a_sparse_tensor]
)
def test_a_second_file_is_found_wherever_it_is_named(tmp_path: Path, hide: Callable[[TensorProto], ModelProto]) -> None:
    with pytest.raises(EncoderError, match=SECOND_FILE):
        opened(hide(external("x.bin")), tmp_path)


@pytest.mark.parametrize("made", [model(weights=[GOOD]), model(constant(GOOD)), in_a_branch(GOOD), in_a_function(GOOD)])
def test_the_same_without_a_second_file_is_an_encoder(tmp_path: Path, made: ModelProto) -> None:
    """The refusals would otherwise prove nothing."""
    np.testing.assert_array_equal(opened(made, tmp_path).encode(PIXELS), [WEIGHTS, WEIGHTS])


NAMED = TensorProto(name="weights", data_type=1, dims=[DIM]).SerializeToString()


@pytest.mark.parametrize("place", [b"\x70\x01", b"\x70\x81\x80\x80\x80\x10", b"\xf0\x80\x00\x01", b"\x6a\x00"])
def test_a_place_is_refused_however_it_is_written(place: bytes) -> None:
    with pytest.raises(EncoderError, match=SECOND_FILE):
        check_whole(within(NAMED + place, TENSOR, GRAPH))


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (NAMED + b"\xf0\x80\x80\x80\x10\x01", TENSOR),
        (NAMED + b"\xea\x80\x80\x80\x10\x00", TENSOR),
        (b"\xa2\x80\x80\x80\x10\x09EPContext", NODE),
    ],
)
def test_fields_that_another_reader_would_take_for_others_are_refused(message: bytes, field: int) -> None:
    """protobuf keeps 32 bits of a tag: with a bit above them, field 14 of a tensor is field 14 to it and no known one to us."""
    with pytest.raises(EncoderError, match="damaged"):
        check_whole(within(message, field, GRAPH))


def test_a_graph_compiled_for_one_machine_is_refused(tmp_path: Path) -> None:
    node = helper.make_node("EPContext", [], ["weights"], domain="com.microsoft", ep_cache_context="../x.bin")
    with pytest.raises(EncoderError, match="compiled for one machine"):
        opened(model(node), tmp_path)


# -- graphs that cannot run


def blank(count: int) -> ModelProto:
    """An encoder that makes `count` zeros, and takes their mean as the weights."""
    nodes = [
        helper.make_node("ConstantOfShape", ["count"], ["vast"]),
        helper.make_node("ReduceMean", ["vast"], ["mean"], keepdims=1),
        helper.make_node("Expand", ["mean", "dim"], ["weights"]),
    ]
    sizes = {"count": count, "dim": DIM}
    return model(*nodes, weights=[numpy_helper.from_array(np.array([n]), name) for name, n in sizes.items()])


def promising(*dims: int) -> ModelProto:
    """Weights that promise more than they hold."""
    tensor = TensorProto(name="vast", data_type=1, dims=dims, raw_data=b"four")
    return model(helper.make_node("ReduceMean", ["vast"], ["weights"], keepdims=0), weights=[tensor])


def test_as_many_zeros_as_there_is_memory_for_are_made(tmp_path: Path) -> None:
    assert (opened(blank(100), tmp_path).encode(PIXELS) == 0).all()


@pytest.mark.parametrize(
    ("made", "found"),
    [
        (model(helper.make_node("Evil", [], ["weights"], domain="stranger")), ".*Evil"),
        (blank(-5), ""),
        *((promising(*dims), "") for dims in ((1 << 40,), (1 << 62,), (1 << 32, 1 << 32), (-1,), (1 << 20, 1 << 20))),
    ],
)
def test_graphs_that_cannot_run_are_refused(tmp_path: Path, made: ModelProto, found: str) -> None:
    """Operators of a stranger's library, fewer than no zeros, weights that are not there."""
    with pytest.raises(EncoderError, match=f"expected an ONNX file that onnxruntime can run; found: {found}"):
        opened(made, tmp_path).encode(PIXELS)


@pytest.mark.parametrize("count", [1 << 44, 1 << 61])
def test_a_graph_that_wants_terabytes_is_refused(tmp_path: Path, count: int) -> None:
    with pytest.raises(EncoderError, match=r"wants more than .* GiB of memory, and was stopped"):
        opened(blank(count), tmp_path).encode(PIXELS)


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited by RLIMIT_AS")
def test_a_graph_that_wants_more_memory_than_there_is_is_an_error_and_no_crash(tmp_path: Path) -> None:
    (tmp_path / "vast.onnx").write_bytes(blank(1 << 32).SerializeToString())  # 16 GiB where 3 are allowed
    code = """
import resource, sys
import numpy as np
from featurestore import Encoder
from featurestore.errors import EncoderError
resource.setrlimit(resource.RLIMIT_AS, (3 << 30, 3 << 30))
try:
    Encoder(sys.argv[1]).encode(np.zeros((1, 8, 8, 3), np.uint8))
except EncoderError as error:
    print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path / "vast.onnx")], capture_output=True, text=True, cwd=ROOT, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "expected an ONNX file that onnxruntime can run; found: " in done.stdout


def test_graphs_within_graphs_without_end_are_refused(tmp_path: Path) -> None:
    data = within(b"", *(BRANCH, ATTRIBUTE, NODE) * 2000, GRAPH)
    with pytest.raises(EncoderError, match="damaged"):
        check_whole(data)
    (tmp_path / "deep.onnx").write_bytes(data)
    with pytest.raises(EncoderError, match="expected an ONNX file that onnxruntime can run"):
        Encoder(tmp_path / "deep.onnx")


def test_as_many_graphs_within_graphs_as_onnxruntime_reads_are_looked_into() -> None:
    tensor = TensorProto(data_location=TensorProto.EXTERNAL).SerializeToString()
    with pytest.raises(EncoderError, match=SECOND_FILE):
        check_whole(within(tensor, TENSOR, *(BRANCH, ATTRIBUTE, NODE) * 32, GRAPH))  # in 97 messages


def test_looking_into_a_file_of_empty_messages_takes_no_memory_of_its_size() -> None:
    data = within(b"\x0a\x00" * 50_000, GRAPH)  # nodes
    tracemalloc.start()
    try:
        check_whole(data)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < len(data)


@pytest.mark.parametrize("text", [b"\xff\xfe", b"\xed\xa0\x80"])
def test_texts_that_are_not_utf8_are_refused(tmp_path: Path, text: bytes) -> None:
    data = model(weights=[GOOD]).SerializeToString()
    for place in (data.index(b"quadrants"), data.index(b"pixels")):
        (tmp_path / "odd.onnx").write_bytes(data[:place] + text + data[place + len(text) :])
        with pytest.raises(EncoderError, match="expected an ONNX file that onnxruntime can run"):
            Encoder(tmp_path / "odd.onnx")


# -- graphs that lie


@pytest.mark.parametrize(
    ("shape", "told"),
    [
        ([DIM, 2], r"expected vectors of the shape \(2, 12\), its graph gave \(12, 2\)"),
        ([1, 24], r"expected vectors of the shape \(2, 12\), its graph gave \(1, 24\)"),
        ([24], "its graph has"),  # onnxruntime itself knows that the rank is another
        ([2, DIM, 1], "its graph has"),
    ],
)
def test_vectors_of_another_shape_than_promised_are_refused(tmp_path: Path, shape: list[int], told: str) -> None:
    """The graph declares (B, 12) for a shape that it finds out from the pixels, and gives another."""
    made = model(weights=[GOOD, numpy_helper.from_array(np.array(shape), "shape")], output="lie")
    made.graph.node.extend(
        [
            helper.make_node("ReduceMax", ["floats"], ["brightest"], keepdims=0),
            helper.make_node("Cast", ["brightest"], ["zero"], to=TensorProto.INT64),
            helper.make_node("Add", ["shape", "zero"], ["hidden"]),
            helper.make_node("Reshape", ["vector", "hidden"], ["lie"]),
        ]
    )
    with pytest.raises(EncoderError, match=told):
        opened(made, tmp_path).encode(PIXELS)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_vectors_that_are_not_finite_are_failures(tmp_path: Path, value: float) -> None:
    """One image may cause them, so that the others of its batch are embedded."""
    odd = numpy_helper.from_array(np.full(DIM, value, np.float32), "weights")
    found = opened(model(weights=[odd]), tmp_path).embed([paint(tmp_path / "a.png", (0, 0, 0))])
    assert found.vectors.shape == (0, DIM)
    assert [(one.readable, one.reason) for one in found.failures] == [
        (True, "the encoder gave a vector that is zero or not finite")
    ]
