"""The input of a foreign network: checked against its preprocess file, and fed from the pixels of an encoder file."""

from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from featurestore.errors import ConfigError
from trainers.export.preprocess_file import ForeignPreprocess
from trainers.export.subgraph import describe, plain

FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)
CHANNELS = {"nchw": 0, "nhwc": 2}  # where they are in a shape without its batch
PIXELS = "pixels"


def fixed_batch(graph: onnx.GraphProto) -> int:
    """Give the batch size that the only input of a graph fixes, or 0."""
    shape = graph.input[0].type.tensor_type.shape.dim
    return int(shape[0].dim_value) if shape else 0


def normalise(graph: onnx.GraphProto, given: ForeignPreprocess, path: Path) -> None:
    """Prepend the nodes that make the network's only input from uint8 pixels (B, size, size, 3).

    Raises ConfigError when the input does not fit the preprocess file, or cannot be images at all.
    """
    value, record = graph.input[0], given.record
    if wrong := _misfit(value, given):
        raise ConfigError(f"{path}: its input {plain(value.name)!r} is {describe(value)}: {wrong}")
    mean, std = np.array(record.mean, np.float64), np.array(record.std, np.float64)
    scale, shift = (1 / (255 * std)).astype(np.float32), (mean / std).astype(np.float32)
    if given.layout == "nchw":
        scale, shift = scale.reshape(3, 1, 1), shift.reshape(3, 1, 1)
    order = [0, 3, 1, 2] if given.layout == "nchw" else [0, 1, 2, 3]
    kind = value.type.tensor_type.elem_type
    front = [
        helper.make_node("Transpose", [PIXELS], ["pixels_turned"], "turn", perm=order),
        helper.make_node("Cast", ["pixels_turned"], ["pixels_float"], "to_float", to=TensorProto.FLOAT),
        helper.make_node("Mul", ["pixels_float", "scale"], ["pixels_scaled"], "scaling"),
        helper.make_node("Sub", ["pixels_scaled", "shift"], ["pixels_shifted"], "shifting"),
        helper.make_node("Cast", ["pixels_shifted"], [value.name], "to_network", to=kind),
    ]
    nodes = list(graph.node)
    del graph.node[:]
    graph.node.extend([*front, *nodes])
    graph.initializer.extend([numpy_helper.from_array(scale, "scale"), numpy_helper.from_array(shift, "shift")])
    del graph.input[:]
    graph.input.append(helper.make_tensor_value_info(PIXELS, TensorProto.UINT8, ["batch", record.size, record.size, 3]))


def _misfit(value: onnx.ValueInfoProto, given: ForeignPreprocess) -> str | None:
    """Say what of an input does not fit, and what to do; None when all fits."""
    kind = value.type.tensor_type
    if kind.elem_type == TensorProto.UINT8:
        return "the network normalises pixels itself; export it again without that step, with a float input"
    if kind.elem_type not in FLOATS:
        return "expected float, float16 or double; export it again with such an input"
    if not kind.HasField("shape"):
        return None
    if len(kind.shape.dim) != 4:
        return "expected images, with four dimensions; export it again for a batch of images"
    shape = [dim.dim_value or None for dim in kind.shape.dim][1:]
    other = next(layout for layout in CHANNELS if layout != given.layout)
    channels = shape.pop(CHANNELS[given.layout])
    if channels not in (None, 3):
        if kind.shape.dim[1 + CHANNELS[other]].dim_value == 3:
            return f'the colour channels are not where layout = "{given.layout}" has them; set layout = "{other}" in the preprocess file'
        return f"expected three channels, red, green and blue, found {channels}; export it again with a first layer for three"
    sides = [side for side in shape if side is not None]
    if len(set(sides)) > 1:
        return f"expected a square, found {sides[0]} pixels high and {sides[1]} wide; export it again for squares"
    if sides and sides[0] != given.record.size:
        return f"the preprocess file has size = {given.record.size}; set size = {sides[0]}"
    return None
