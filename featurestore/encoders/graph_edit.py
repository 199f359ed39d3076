"""Edit an ONNX graph: put a card in, put a whitening or a classifier behind an encoder. Needs the onnx package."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import GraphProto, ModelProto, NodeProto, TensorProto, compose, helper, numpy_helper

from featurestore.encoders.card import CARD_KEY, Card
from featurestore.encoders.encoder import ATTENTION, PROBABILITIES
from featurestore.estimators.whitening import Whitening

PIXELS, VECTOR = "pixels", "vector"
PREFIX = "encoder/"


def add_card(model: ModelProto, card: Card) -> None:
    """Put a card into the metadata, replacing one that is there."""
    others = [entry for entry in model.metadata_props if entry.key != CARD_KEY]
    del model.metadata_props[:]
    model.metadata_props.extend(others)
    model.metadata_props.add(key=CARD_KEY, value=card.to_json())


def drop_traces(model: ModelProto) -> None:
    """Remove the notes of exporters, such as torch's stack traces: they hold paths, and would make the fingerprint depend on them."""
    for function in model.functions:
        _drop_notes(function)
        for node in function.node:
            _drop_traces_of_node(node)
    _drop_traces_of_graph(model.graph)


def _drop_traces_of_graph(graph: GraphProto) -> None:
    for part in (graph, *graph.initializer, *graph.input, *graph.output, *graph.value_info):
        _drop_notes(part)
    for node in graph.node:
        _drop_traces_of_node(node)


def _drop_traces_of_node(node: NodeProto) -> None:
    _drop_notes(node)
    for attribute in node.attribute:
        for inner in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
            _drop_traces_of_graph(inner)


def _drop_notes(part: Any) -> None:
    part.ClearField("metadata_props")
    part.ClearField("doc_string")


def append_whitening(encoder: ModelProto, whitening: Whitening) -> ModelProto:
    """Put a whitening behind an encoder: it maps the vectors once they have unit length. The outputs are `vector`, and `attention` when the encoder has it."""
    model, own_output = _prefixed(encoder)
    matrix, bias = whitening.matrix, -(whitening.mean @ whitening.matrix)
    _append(
        model.graph,
        {"matrix": matrix, "bias": bias},
        helper.make_node("LpNormalization", [own_output], ["unit"], axis=1, p=2),
        helper.make_node("Gemm", ["unit", "matrix", "bias"], [VECTOR]),
    )
    _name_outputs(model.graph, {VECTOR: matrix.shape[1]})
    return model


def append_classifier(encoder: ModelProto, weights: NDArray[np.float32], bias: NDArray[np.float32]) -> ModelProto:
    """Put a linear classifier behind an encoder: softmax(x @ weights + bias) of its unit-length vectors x.

    weights: (D, C); bias: (C,). The outputs are `vector`, of unit length, `probabilities`, and `attention` when the encoder has it.
    """
    model, own_output = _prefixed(encoder)
    _append(
        model.graph,
        {"weights": weights, "bias": bias},
        helper.make_node("LpNormalization", [own_output], [VECTOR], axis=1, p=2),
        helper.make_node("Gemm", [VECTOR, "weights", "bias"], ["logits"]),
        helper.make_node("Softmax", ["logits"], [PROBABILITIES], axis=1),
    )
    _name_outputs(model.graph, {VECTOR: weights.shape[0], PROBABILITIES: weights.shape[1]})
    return model


def _prefixed(encoder: ModelProto) -> tuple[ModelProto, str]:
    """Copy an encoder with a prefix before its own names, so that ours are free; gives it and the name of its vectors."""
    model = compose.add_prefix(encoder, PREFIX)
    own_input = model.graph.input[0].name
    model.graph.input[0].name = PIXELS
    model.graph.node.insert(0, helper.make_node("Identity", [PIXELS], [own_input]))
    return model, model.graph.output[0].name


def _append(graph: GraphProto, tensors: dict[str, NDArray[np.float32]], *nodes: NodeProto) -> None:
    graph.initializer.extend(
        numpy_helper.from_array(np.ascontiguousarray(tensor, np.float32), name) for name, tensor in tensors.items()
    )
    graph.node.extend(nodes)


def _name_outputs(graph: GraphProto, widths: dict[str, int]) -> None:
    """Replace the outputs by some of a width each, and the attention when there is one."""
    former = {output.name.removeprefix(PREFIX): output for output in graph.output}
    del graph.output[:]
    graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", width]) for name, width in widths.items()
    )
    if ATTENTION in former:
        graph.node.append(helper.make_node("Identity", [former[ATTENTION].name], [ATTENTION]))
        former[ATTENTION].name = ATTENTION
        graph.output.append(former[ATTENTION])
