"""The output of a foreign network: run once to know its shape, then made one vector an image."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from featurestore.encoders import write as encoder_file
from featurestore.encoders.session import open_session, run
from featurestore.errors import ConfigError, EncoderError, ExportError
from featurestore.system.cpus import available_cpus
from featurestore.system.text import first_line
from trainers.export.preprocess_file import ForeignPreprocess
from trainers.export.subgraph import plain

FLOATS, VECTOR = "output_float", "vector"
SAFE_OPSET = 20  # that every supported onnxruntime runs
# What onnxruntime puts before its message: a code, and sometimes a place in its own source.
ORIGIN = re.compile(r"^.*?\[ONNXRuntimeError\] : \d+ : \w+ : (?:\S+:\d+ .*?\) (?=[A-Z]))?")


def try_network(model: onnx.ModelProto, output: str, batch: int, size: int, path: Path) -> NDArray[Any]:
    """Run a network on `batch` images of noise, and give its output. Raises ExportError with onnxruntime's reason when it does not run."""
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    del probe.graph.output[:]
    probe.graph.output.append(onnx.ValueInfoProto(name=output))
    pixels = np.random.default_rng(0).integers(0, 256, (batch, size, size, 3), np.uint8)
    try:
        session = open_session(path, encoder_file.serialise(probe), available_cpus(), "cpu")
        [found] = run(session, [output], pixels, path)
    except EncoderError as error:
        reason = first_line(ValueError(ORIGIN.sub("", str(error.__cause__))))  # onnxruntime's own words
        raise ExportError(f"{path}: onnxruntime cannot run this network: {reason}; {_advice(reason, model)}") from error
    return np.asarray(found)


def pool(graph: onnx.GraphProto, output: str, found: NDArray[Any], given: ForeignPreprocess, path: Path) -> int:
    """Append the nodes that make one vector an image from the network's output; returns D.

    found: the output of `try_network`. Raises ConfigError when it cannot become vectors by the pool that is `given`.
    """
    if wrong := _misfit(found, given):
        dims = ", ".join(map(str, found.shape[1:]))
        raise ConfigError(f"{path}: its output {plain(output)!r} is {found.dtype} (B, {dims}): {wrong}")
    turn = [0, 2, 1] if found.ndim == 3 else [0, 1, 2, 3] if given.layout == "nchw" else [0, 3, 1, 2]
    nodes = {
        "none": [helper.make_node("Identity", [FLOATS], [VECTOR])],
        "cls": [helper.make_node("Gather", [FLOATS, "first"], [VECTOR], "class_token", axis=1)],
        "mean": [
            helper.make_node("Transpose", [FLOATS], ["channels_first"], perm=turn),
            helper.make_node("GlobalAveragePool", ["channels_first"], ["mean"]),
            helper.make_node("Flatten", ["mean"], [VECTOR]),
        ],
    }[given.pool]
    dim = found.shape[1 if found.ndim == 4 and given.layout == "nchw" else -1]
    if given.pool == "cls":
        graph.initializer.append(numpy_helper.from_array(np.array(0, np.int64), "first"))
    graph.node.extend([helper.make_node("Cast", [output], [FLOATS], to=TensorProto.FLOAT), *nodes])
    del graph.output[:]
    graph.output.append(helper.make_tensor_value_info(VECTOR, TensorProto.FLOAT, ["batch", dim]))
    return int(dim)


def looks_like_probabilities(found: NDArray[Any]) -> bool:
    """Whether every row of an output is positive and sums to one, as those of a classifier."""
    return (
        found.ndim == 2
        and found.shape[1] > 1
        and bool((found >= 0).all() and np.allclose(found.sum(axis=1), 1, atol=1e-3))
    )


def _misfit(found: NDArray[Any], given: ForeignPreprocess) -> str | None:
    """Say why an output is not one vector an image by the given pool, and what to do; None when it is."""
    if found.dtype.kind != "f":
        return "expected real numbers; choose an earlier value of the graph by output in the preprocess file"
    if found.ndim == 2:
        return (
            None
            if given.pool == "none"
            else 'it is one vector an image already; set pool = "none" in the preprocess file'
        )
    if found.ndim == 3:
        tokens = 'these are tokens; set pool = "cls" (the first one) or pool = "mean" in the preprocess file'
        return tokens if given.pool == "none" else None
    if found.ndim == 4:
        return None if given.pool == "mean" else 'this is a map; set pool = "mean" in the preprocess file'
    return "expected vectors (B, D), tokens (B, T, D) or a map (B, D, h, w); choose another value by output in the preprocess file"


def _advice(reason: str, model: onnx.ModelProto) -> str:
    """Say what helps a network that onnxruntime does not run."""
    if "opset" in reason or "IR version" in reason:
        [version] = {entry.version for entry in model.opset_import if entry.domain in ("", "ai.onnx")}
        return f"it has opset {version} and IR version {model.ir_version}; export it again with opset {SAFE_OPSET}, or upgrade onnxruntime"
    if "Could not find an implementation" in reason:
        return "export it again as float32, with operators that onnxruntime has"
    return "export it again from where it was made"
