"""Small ONNX networks, made without torch, as somebody else might hand them over."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper
from PIL import Image

SIZE = 16


def make(
    nodes: Sequence[onnx.NodeProto], weights: dict[str, NDArray[Any]], shape: Sequence[int | str], output: Sequence[int | str],
    kind: int = TensorProto.FLOAT, extra: Sequence[onnx.ValueInfoProto] = (),
) -> onnx.ModelProto:  # fmt: skip
    """A network from "pixels" of `shape` to "vector" of the shape `output`: names that are also ours."""
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("pixels", kind, shape)],
        [helper.make_tensor_value_info("vector", kind, output), *extra],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def convolutional(batch: int | str = "N", flatten: NDArray[np.int64] | None = None) -> onnx.ModelProto:
    """Two convolutions and a mean: float (N, 3, 16, 16) to (N, 24). With `flatten` the last step is a Reshape to that."""
    rng = np.random.default_rng(0)
    weights: dict[str, NDArray[Any]] = {
        "first": rng.normal(0, 0.4, (16, 3, 3, 3)).astype(np.float32),
        "second": rng.normal(0, 0.2, (24, 16, 3, 3)).astype(np.float32),
    }
    last = helper.make_node("Flatten", ["mean"], ["vector"])
    if flatten is not None:
        weights["shape"] = flatten
        last = helper.make_node("Reshape", ["mean", "shape"], ["vector"])
    nodes = [
        helper.make_node("Conv", ["pixels", "first"], ["a"], strides=[2, 2]),
        helper.make_node("Relu", ["a"], ["b"]),
        helper.make_node("Conv", ["b", "second"], ["map"]),
        helper.make_node("GlobalAveragePool", ["map"], ["mean"]),
        last,
    ]
    return make(nodes, weights, [batch, 3, SIZE, SIZE], [batch, 24])


def linear() -> onnx.ModelProto:
    """Patches of 8 x 8 as four tokens through two linear layers: float (N, 3, 16, 16) to (N, 4, 32)."""
    rng = np.random.default_rng(1)
    weights: dict[str, NDArray[Any]] = {
        "patches": rng.normal(0, 0.1, (32, 3, 8, 8)).astype(np.float32),
        "tokens": np.array([0, 32, -1], np.int64),
        "up": rng.normal(0, 0.2, (32, 64)).astype(np.float32),
        "bias": rng.normal(0, 0.2, 64).astype(np.float32),
        "down": rng.normal(0, 0.2, (64, 32)).astype(np.float32),
    }
    nodes = [
        helper.make_node("Conv", ["pixels", "patches"], ["a"], strides=[8, 8]),
        helper.make_node("Reshape", ["a", "tokens"], ["b"]),
        helper.make_node("Transpose", ["b"], ["c"], perm=[0, 2, 1]),
        helper.make_node("MatMul", ["c", "up"], ["d"]),
        helper.make_node("Add", ["d", "bias"], ["e"]),
        helper.make_node("Relu", ["e"], ["f"]),
        helper.make_node("MatMul", ["f", "down"], ["vector"]),
    ]
    return make(nodes, weights, ["N", 3, SIZE, SIZE], ["N", 4, 32])


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


def save(model: onnx.ModelProto, path: Path) -> Path:
    onnx.save(model, path)
    return path


def preprocess_file(path: Path, **more: Any) -> Path:
    """A preprocess file for these networks, TOML."""
    values = {"size": SIZE, "shorter_side": 20, "resize": "shorter", "interpolation": "bilinear", "mean": [0.4, 0.5, 0.6], "std": [0.2, 0.25, 0.3]}  # fmt: skip
    lines = [f"{key} = {value!r}" for key, value in {**values, **more}.items() if value is not None]
    path.write_text("\n".join(lines), encoding="utf-8")
    return path


def pictures(folder: Path, count: int, seed: int = 0) -> Path:
    """Small pictures of coarse coloured noise, each unlike the others."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for i in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (4, 4, 3), np.uint8))
        coarse.resize((20, 20), Image.Resampling.BILINEAR).save(folder / f"{i:03}.png")
    return folder
