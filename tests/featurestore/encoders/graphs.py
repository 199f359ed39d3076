"""Encoder graphs of every make: each function changes the file of the fake encoder, whose vectors stay."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from featurestore.encoders.graph_edit import append_classifier
from featurestore.encoders.write import write
from tests.featurestore.fakes import CARD, DIM


def quantised(path: Path) -> None:
    """Values become int8 and back on their way."""
    model = onnx.load(path)
    [scale] = [node for node in model.graph.node if node.op_type == "Mul"]
    model.graph.initializer.extend([
        numpy_helper.from_array(np.array(2.0, np.float32), "weights"), numpy_helper.from_array(np.array(-128, np.int8), "bias")
    ])  # fmt: skip
    for kind, ends in (("QuantizeLinear", ("flat", "logits")), ("DequantizeLinear", ("logits", "probabilities"))):
        node = helper.make_node(kind, [ends[0], "weights", "bias"], [ends[1]])
        model.graph.node.insert(len(model.graph.node) - 1, node)
    scale.input[0] = "probabilities"
    onnx.save(model, path)


def branching(path: Path) -> None:
    """A branch that takes its value from around it, as exported control flow does."""
    model = onnx.load(path)
    [scale] = [node for node in model.graph.node if node.op_type == "Mul"]
    branches = {
        f"{name}_branch": helper.make_graph(
            [helper.make_node("Identity", ["flat"], [f"{name}_out"])], name, [],
            [helper.make_tensor_value_info(f"{name}_out", TensorProto.FLOAT, None)],
        )
        for name in ("then", "else")
    }  # fmt: skip
    model.graph.initializer.append(numpy_helper.from_array(np.array(True), "weights"))
    model.graph.node.insert(len(model.graph.node) - 1, helper.make_node("If", ["weights"], ["chosen"], **branches))
    scale.input[0] = "chosen"
    onnx.save(model, path)


def with_attention(path: Path) -> None:
    """A second output, and one that nobody asked for."""
    model = onnx.load(path)
    model.graph.output.append(helper.make_tensor_value_info("attention", TensorProto.FLOAT, ["batch", 3, 2, 2]))
    model.graph.output.append(helper.make_tensor_value_info("flat", TensorProto.FLOAT, ["batch", DIM]))
    [means] = [node for node in model.graph.node if node.output[0] == "means"]
    model.graph.node.insert(3, helper.make_node("Identity", [means.output[0]], ["attention"]))
    onnx.save(model, path)


def renamed(path: Path) -> None:
    """An input and an output that are called as nobody expects."""
    model = onnx.load(path)
    model.graph.input[0].name = model.graph.node[0].input[0] = "vector"
    model.graph.output[0].name = model.graph.node[-1].output[0] = "probabilities"
    onnx.save(model, path)


def newest(path: Path) -> None:
    """Operators of another set."""
    model = onnx.load(path)
    model.opset_import[0].version = 22
    model.ir_version = 10
    onnx.save(model, path)


WEIGHTS = np.random.default_rng(0).normal(size=(DIM, 3)).astype(np.float32)
BIAS = np.array([0, 0.5, -0.5], np.float32)


def joined(path: Path) -> None:
    """A classifier of three classes behind the encoder."""
    model = append_classifier(onnx.load(path), WEIGHTS, BIAS)
    write(model, replace(CARD, classes=("a", "b", "c")), path, lambda encoder: None)


CHANGES = (quantised, branching, with_attention, renamed, newest)
