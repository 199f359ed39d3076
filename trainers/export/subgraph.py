"""The part of a foreign network that is needed: one output, what leads to it, and the images that go in."""

from collections.abc import Iterable, Iterator
from pathlib import Path

import onnx
from onnx import TensorProto

from featurestore.errors import ConfigError

PREFIX = "network/"  # before every name of the foreign graph, so that none clashes with ours


def keep_output(graph: onnx.GraphProto, wanted: str | None, path: Path) -> tuple[str, list[str]]:
    """Remove from the graph what its chosen output does not need; returns the output's name and the names of the inputs removed.

    `wanted` names any value of the graph; None is its only output. Raises ConfigError when there is no such value, when a choice
    is needed, and when the output needs another input than the images.
    """
    output = _choose(graph, wanted, path)
    needed = _needed(graph, output)
    images = _inputs_of(graph, needed)
    if len(images) != 1:
        raise ConfigError(f"{path}: {_which_inputs(graph, output, images)}")
    removed = [value.name for value in _inputs_of(graph) if value.name not in needed]
    nodes = [node for node in graph.node if needed & set(node.output)]
    weights = [tensor for tensor in graph.initializer if tensor.name in needed]
    for field, kept in ((graph.node, nodes), (graph.initializer, weights), (graph.input, images)):
        del field[:]
        field.extend(kept)
    return output, [plain(name) for name in removed]


def plain(name: str) -> str:
    """Give the name that a value has in the file."""
    return name.removeprefix(PREFIX)


def describe(value: onnx.ValueInfoProto) -> str:
    """Say the type and the shape of an input or output: "float (B, 3, 224, 224)"."""
    kind = value.type.tensor_type
    dims = [str(dim.dim_value or dim.dim_param or "?") for dim in kind.shape.dim]
    shape = f"({', '.join(dims)})" if kind.HasField("shape") else "of unknown shape"
    return f"{TensorProto.DataType.Name(kind.elem_type).lower()} {shape}"


def _choose(graph: onnx.GraphProto, wanted: str | None, path: Path) -> str:
    names = [plain(value.name) for value in graph.output]
    if wanted is None and len(names) == 1:
        return PREFIX + names[0]
    if wanted is None:
        outputs = [
            f"{plain(value.name)} {describe(value)} of {_listed(_inputs_of(graph, _needed(graph, value.name)))}"
            for value in graph.output
        ]
        advice = f"choose one in the preprocess file, such as output = {(_of_images(graph) or names)[0]!r}"
        raise ConfigError(f"{path}: has {len(names)} outputs: {'; '.join(outputs)}; {advice}")
    if not any(PREFIX + wanted in node.output for node in graph.node):
        raise ConfigError(
            f"{path}: expected output to be a value of the graph, such as {names}; found {wanted!r}; correct the preprocess file"
        )
    return PREFIX + wanted


def _which_inputs(graph: onnx.GraphProto, output: str, found: list[onnx.ValueInfoProto]) -> str:
    """Say that an output needs no input, or more than the images, and which output to choose instead."""
    others = _of_images(graph)
    advice = (
        f"choose output = {others[0]!r} in the preprocess file" if others else "export it again with the images alone"
    )
    needs = f"needs the inputs {_listed(found)}" if found else "depends on no input"
    return f"its output {plain(output)!r} {needs}; expected one that needs the images only; {advice}"


def _of_images(graph: onnx.GraphProto) -> list[str]:
    """List the outputs that need one input alone, of four dimensions."""
    needs = {value.name: _inputs_of(graph, _needed(graph, value.name)) for value in graph.output}
    return [
        plain(name)
        for name, found in needs.items()
        if len(found) == 1 and len(found[0].type.tensor_type.shape.dim) == 4
    ]


def _inputs_of(graph: onnx.GraphProto, needed: set[str] | None = None) -> list[onnx.ValueInfoProto]:
    """List the inputs of a graph that are not weights, or those of them that are needed."""
    weights = {tensor.name for tensor in graph.initializer}
    inputs: Iterable[onnx.ValueInfoProto] = graph.input
    return [value for value in inputs if value.name not in weights and (needed is None or value.name in needed)]


def _listed(values: list[onnx.ValueInfoProto]) -> str:
    return ", ".join(plain(value.name) for value in values) or "nothing"


def _needed(graph: onnx.GraphProto, output: str) -> set[str]:
    """Find all values that lead to an output, and itself."""
    made = {name: node for node in graph.node for name in node.output}
    needed: set[str] = set()
    waiting = [output]
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += _inputs_of_node(made[name]) if name in made else []
    return needed


def _inputs_of_node(node: onnx.NodeProto) -> Iterator[str]:
    """Yield the inputs of a node, and those of the graphs inside it."""
    yield from filter(None, node.input)
    for attribute in node.attribute:
        for inner in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
            for below in inner.node:
                yield from _inputs_of_node(below)
