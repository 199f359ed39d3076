"""Encoders from elsewhere: any ONNX network of images, given its preprocessing, becomes an encoder file. Needs no torch."""

import hashlib
import json
import tomllib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from featurestore.encoders import write as encoder_file
from featurestore.encoders.encoder import CARD_KEY, Card
from featurestore.errors import ConfigError, EncoderError, ExportError
from featurestore.imaging.preprocess import Preprocess
from featurestore.version import __version__

LAYOUTS = ("nchw", "nhwc")
POOLS = ("none", "cls", "mean")
REQUIRED = [field.name for field in fields(Preprocess)]  # none is guessed
FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16)
PREFIX = "network/"  # of every name of the other graph, so that none is one of ours
PIXELS, VECTOR = "pixels", "vector"


@dataclass(frozen=True)
class Reading:
    """How another network is to be read: what stands in the preprocess file."""

    record: Preprocess
    layout: str = "nchw"  # of the network's input
    output: str | None = None  # any value of the graph, by name; None: its only output
    pool: str = "none"  # of an output (B, T, D): "cls" is the first of T, "mean" all; of a map (B, D, h, w): "mean"


def read_preprocess(path: str | Path) -> Reading:
    """Read a preprocess file, TOML or (by its suffix) JSON; raises ConfigError when something is missing, unknown or senseless."""
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
        table = json.loads(text) if path.suffix.lower() == ".json" else tomllib.loads(text)
    except (OSError, ValueError) as error:
        raise ConfigError(
            f"--preprocess {path}: expected a TOML or JSON file; {error}; see docs/guides/own-onnx.md for an example"
        ) from error
    optional = [field.name for field in fields(Reading)][1:]
    keys = set(table) if isinstance(table, dict) else set()
    if keys - {*REQUIRED, *optional} or set(REQUIRED) - keys:
        raise ConfigError(
            f"--preprocess {path}: expected {', '.join(REQUIRED)}, and where needed {', '.join(optional)}; found {', '.join(sorted(keys)) or 'none of them'}; "
            "see docs/guides/own-onnx.md for an example"
        )
    if not _well_typed({"layout": LAYOUTS[0], "output": None, "pool": POOLS[0], **table}):
        raise ConfigError(
            f"--preprocess {path}: expected whole numbers as size and shorter_side, lists of numbers as mean and std, texts as resize, interpolation and output, "
            f"a layout of {LAYOUTS} and a pool of {POOLS}; found {table}"
        )
    try:
        record = Preprocess.from_json({key: table[key] for key in REQUIRED})
    except EncoderError as error:
        raise ConfigError(f"--preprocess {path}: {error}") from error
    return Reading(record, **{key: table[key] for key in optional if key in table})


def _well_typed(table: dict[str, Any]) -> bool:
    return (
        all(type(table[key]) is int for key in ("size", "shorter_side"))
        and all(
            isinstance(table[key], list) and {type(x) for x in table[key]} <= {int, float} for key in ("mean", "std")
        )
        and all(isinstance(table[key], str) for key in ("resize", "interpolation"))
        and isinstance(table["output"], str | None)
        and table["layout"] in LAYOUTS
        and table["pool"] in POOLS
    )


def export_foreign(path: str | Path, reading: Reading, out: Path) -> Path:
    """Put the preprocessing of `reading` and a card into the ONNX network at `path`, check it, and name it `out`.

    Raises ConfigError when the network and the reading do not fit together, ExportError when its vectors are no numbers or depend
    on the batch.
    """
    path = Path(path)
    model = load(path)
    if any(entry.key == CARD_KEY for entry in model.metadata_props):
        raise ConfigError(f"{path}: carries a card already; use it as it is: featurestore index --encoder {path}")
    sha256 = hashlib.sha256(encoder_file.serialise(model)).hexdigest()  # with the weights that lay beside it
    model = onnx.compose.add_prefix(model, PREFIX)
    _free_batch(model.graph)
    output = _choose_output(model, reading.output, path)
    _normalise(model.graph, reading, path)
    dim = _pool(model, output, reading, path)
    card = Card(
        preprocess=reading.record,
        dim=dim,
        method="foreign",
        backbone="".join(letter for letter in path.stem if letter.isprintable())[:100],
        branch=output.removeprefix(PREFIX)[:100],
        trained_on={"count": 0, "sha256": "", "weights": f"sha256:{sha256}"},
        config_hash=hashlib.sha256(json.dumps(asdict(reading), sort_keys=True).encode()).hexdigest()[:16],
        featurestore_version=__version__,
    )
    pixels = encoder_file.check_pixels(reading.record)
    try:
        encoder_file.write(model, card, out, lambda encoder: encoder_file.check_alone(encoder, pixels))
    except EncoderError as error:
        raise ExportError(
            f"{path}: as an encoder it does not run, with batches of {len(pixels)} and of 1: {error}; nothing was written; export it again from where it was made, with a "
            "dynamic batch and a recent opset"
        ) from error
    return out


def has_card(path: Path) -> bool:
    """Whether an ONNX file is an encoder file already; raises EncoderError."""
    return any(entry.key == CARD_KEY for entry in load(path, weights_beside=False).metadata_props)


def load(path: Path, weights_beside: bool = True) -> onnx.ModelProto:
    """Read an ONNX file, and the weights that lie beside it; raises EncoderError."""
    try:
        return onnx.load(path, load_external_data=weights_beside)
    except OSError as error:
        raise EncoderError(f"{path}: expected an ONNX file, found: {error.strerror}; check the path") from error
    except Exception as error:  # protobuf and onnx raise their own classes
        raise EncoderError(
            f"{path}: expected an ONNX file with the weights inside or beside it, found: {error}; check the path"
        ) from error


def _only_input(graph: onnx.GraphProto, path: Path) -> onnx.ValueInfoProto:
    weights = {tensor.name for tensor in graph.initializer}
    inputs: list[onnx.ValueInfoProto] = [value for value in graph.input if value.name not in weights]
    if len(inputs) != 1:
        names = [value.name.removeprefix(PREFIX) for value in inputs]
        raise ConfigError(
            f"{path}: expected a network with one input, the images; found {names}; export it again without the others"
        )
    return inputs[0]


def _free_batch(graph: onnx.GraphProto) -> None:
    """Make a batch that was fixed when the network was exported free, where only shapes say so."""
    weights = {tensor.name: tensor for tensor in graph.initializer}
    inputs = [value for value in graph.input if value.name not in weights]
    dims = [list(value.type.tensor_type.shape.dim) for value in inputs]
    if len(dims) != 1 or not dims[0] or not dims[0][0].dim_value:
        return
    fixed = dims[0][0].dim_value
    del graph.value_info[:]  # they say the fixed batch again
    for value in [*inputs, *graph.output]:
        shape = value.type.tensor_type.shape.dim
        if shape and shape[0].dim_value == fixed:
            shape[0].dim_param = "batch"
    constants = [node for node in graph.node if node.op_type == "Constant" and node.attribute[0].HasField("t")]
    known = weights | {node.output[0]: node.attribute[0].t for node in constants}
    for name in {node.input[1] for node in graph.node if node.op_type == "Reshape"} & known.keys():
        target = numpy_helper.to_array(known[name]).copy()
        if target.size and target[0] == fixed:
            target[0] = 0  # as it comes
            known[name].CopyFrom(numpy_helper.from_array(target, known[name].name))


def _choose_output(model: onnx.ModelProto, wanted: str | None, path: Path) -> str:
    """The name of the value that becomes the vector; what does not lead to it is taken out of the graph."""
    graph = model.graph
    outputs = [value.name for value in graph.output]
    if wanted is None and len(outputs) != 1:
        names = [name.removeprefix(PREFIX) for name in outputs]
        raise ConfigError(f"{path}: has the outputs {names}; say which in the preprocess file: output = {names[0]!r}")
    output = outputs[0] if wanted is None else PREFIX + wanted
    made = {name: node for node in graph.node for name in node.output}
    if output not in made:
        names = [name.removeprefix(PREFIX) for name in outputs]
        raise ConfigError(
            f"{path}: expected output to be a value of the graph, such as {names}; found {wanted!r}; correct the preprocess file"
        )
    needed: set[str] = set()
    waiting = [output]
    while waiting:
        name = waiting.pop()
        if name not in needed:
            needed.add(name)
            waiting += _inputs(made[name]) if name in made else []
    kept = [node for node in graph.node if needed & set(node.output)]
    del graph.node[:]
    graph.node.extend(kept)
    weights = [tensor for tensor in graph.initializer if tensor.name in needed]
    del graph.initializer[:]
    graph.initializer.extend(weights)
    return output


def _inputs(node: onnx.NodeProto) -> Iterator[str]:
    """What a node reads, with what the graphs inside it read."""
    yield from filter(None, node.input)
    for attribute in node.attribute:
        for inner in (*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])):
            for below in inner.node:
                yield from _inputs(below)


def _normalise(graph: onnx.GraphProto, reading: Reading, path: Path) -> None:
    """Put in front of the network what makes its input of uint8 pixels (B, size, size, 3)."""
    value, record = _only_input(graph, path), reading.record
    kind = value.type.tensor_type
    shape = [dim.dim_value or None for dim in kind.shape.dim]
    wanted = [3, record.size, record.size] if reading.layout == "nchw" else [record.size, record.size, 3]
    if (
        kind.elem_type not in FLOATS
        or len(shape) != 4
        or any(found not in (None, want) for found, want in zip(shape[1:], wanted, strict=True))
    ):
        raise ConfigError(
            f"{path}: by its preprocess file its input is float (B, {', '.join(map(str, wanted))}); "
            f"found {TensorProto.DataType.Name(kind.elem_type).lower()} {shape}; correct size or layout"
        )
    mean, std = np.array(record.mean, np.float64), np.array(record.std, np.float64)
    scale, shift = (1 / (255 * std)).astype(np.float32), (mean / std).astype(np.float32)
    if reading.layout == "nchw":
        scale, shift = scale.reshape(3, 1, 1), shift.reshape(3, 1, 1)
    turn = [0, 3, 1, 2] if reading.layout == "nchw" else [0, 1, 2, 3]
    front = [
        helper.make_node("Transpose", [PIXELS], ["pixels_turned"], "turn", perm=turn),
        helper.make_node("Cast", ["pixels_turned"], ["pixels_float"], "to_float", to=TensorProto.FLOAT),
        helper.make_node("Mul", ["pixels_float", "scale"], ["pixels_scaled"], "scaling"),
        helper.make_node("Sub", ["pixels_scaled", "shift"], ["pixels_shifted"], "shifting"),
        helper.make_node("Cast", ["pixels_shifted"], [value.name], "to_network", to=kind.elem_type),
    ]
    kept = list(graph.node)
    del graph.node[:]
    graph.node.extend([*front, *kept])
    graph.initializer.extend([numpy_helper.from_array(scale, "scale"), numpy_helper.from_array(shift, "shift")])
    pixels = helper.make_tensor_value_info(PIXELS, TensorProto.UINT8, ["batch", record.size, record.size, 3])
    del graph.input[:]
    graph.input.append(pixels)


def _pool(model: onnx.ModelProto, output: str, reading: Reading, path: Path) -> int:
    """Put behind the network what makes its output one vector an image; returns D."""
    graph = model.graph
    known = onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    shapes = {
        value.name: [dim.dim_value for dim in value.type.tensor_type.shape.dim]
        for value in (*known.value_info, *known.output)
    }
    shape, pool = shapes.get(output, []), reading.pool
    nodes = {
        (2, "none"): [helper.make_node("Identity", [output], ["pooled"])],
        (3, "cls"): [
            helper.make_node("Gather", [output, "first"], ["pooled"], "class_token", axis=1),
        ],
        (3, "mean"): [
            helper.make_node("Transpose", [output], ["tokens_last"], perm=[0, 2, 1]),
            helper.make_node("GlobalAveragePool", ["tokens_last"], ["mean"]),
            helper.make_node("Flatten", ["mean"], ["pooled"]),
        ],
        (4, "mean"): [
            helper.make_node("Transpose", [output], ["map"], perm=[0, 1, 2, 3] if reading.layout == "nchw" else [0, 3, 1, 2]),
            helper.make_node("GlobalAveragePool", ["map"], ["mean"]),
            helper.make_node("Flatten", ["mean"], ["pooled"]),
        ],
    }.get((len(shape), pool))  # fmt: skip
    dim = shape[1 if len(shape) == 4 and reading.layout == "nchw" else -1] if shape else 0
    if nodes is None or not dim:
        raise ConfigError(
            f'{path}: its output {output.removeprefix(PREFIX)!r} has the shape {shape or "unknown"} (0: not fixed), and pool is {pool!r}; expected (B, D) with "none", '
            '(B, T, D) with "cls" or "mean", or (B, D, h, w) with "mean"; set pool or output in the preprocess file'
        )
    if pool == "cls":
        graph.initializer.append(numpy_helper.from_array(np.array(0, np.int64), "first"))
    graph.node.extend([*nodes, helper.make_node("Cast", ["pooled"], [VECTOR], to=TensorProto.FLOAT)])
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(VECTOR, TensorProto.FLOAT, ["batch", dim]))
    return dim
