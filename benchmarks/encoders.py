"""Encoders of a few nodes, made without a network."""

from collections.abc import Sequence
from pathlib import Path

import onnx
from onnx import NodeProto, TensorProto, helper

from featurestore.encoders.card import CARD_KEY, Card
from featurestore.imaging.preprocess import Preprocess
from featurestore.version import __version__


def write_encoder(
    name: str, size: int, dim: int, nodes: Sequence[NodeProto], weights: Sequence[TensorProto], out: Path
) -> Path:
    """Write an encoder of images of `size` px to D numbers: `nodes` lead from "flat", the pixels in a row as floats, to "vector"."""
    before = [
        helper.make_node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Flatten", ["floats"], ["flat"]),
    ]
    graph = helper.make_graph(
        [*before, *nodes], name,
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["batch", size, size, 3])],
        [helper.make_tensor_value_info("vector", TensorProto.FLOAT, ["batch", dim])],
        weights,
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    card = Card(Preprocess(size, size), dim, name, "none", "none", {"count": 0, "sha256": ""}, "", __version__)
    helper.set_model_props(model, {CARD_KEY: card.to_json()})
    onnx.save(model, out)
    return out
