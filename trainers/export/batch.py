"""Networks that were written for one batch size: made free, or run image by image."""

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from trainers.export.foreign_input import PIXELS
from trainers.export.foreign_output import VECTOR

INSIDE = "image/"  # before every name of a network that runs image by image


def free_batch(graph: onnx.GraphProto, fixed: int) -> None:
    """Make a fixed batch free, where nothing but shapes fixes it."""
    del graph.value_info[:]  # they repeat the fixed batch
    constants = [node for node in graph.node if node.op_type == "Constant" and node.attribute[0].HasField("t")]
    known = {tensor.name: tensor for tensor in graph.initializer}
    known |= {node.output[0]: node.attribute[0].t for node in constants}
    for name in {node.input[1] for node in graph.node if node.op_type == "Reshape"} & known.keys():
        target = numpy_helper.to_array(known[name]).copy()
        if target.size and target[0] == fixed:
            target[0] = 0  # the size of the input
            known[name].CopyFrom(numpy_helper.from_array(target, known[name].name))


def one_by_one(model: onnx.ModelProto, size: int, dim: int) -> onnx.ModelProto:
    """Put a network for a batch of one into a loop over the images: pixels (B, size, size, 3) to vectors (B, dim)."""
    inner = onnx.compose.add_prefix(model, INSIDE)
    body: onnx.GraphProto = inner.graph
    nodes = list(body.node)
    for field in (body.node, body.input, body.output, body.value_info):
        del field[:]
    body.input.append(helper.make_tensor_value_info("image", TensorProto.UINT8, [size, size, 3]))
    body.output.append(helper.make_tensor_value_info("image_vector", TensorProto.FLOAT, [dim]))
    body.node.append(helper.make_node("Reshape", ["image", "batch_of_one"], [INSIDE + PIXELS]))
    body.node.extend([*nodes, helper.make_node("Reshape", [INSIDE + VECTOR, "one_vector"], ["image_vector"])])
    for name, shape in (("batch_of_one", [1, size, size, 3]), ("one_vector", [dim])):
        body.initializer.append(numpy_helper.from_array(np.array(shape, np.int64), name))
    loop = onnx.ModelProto()
    loop.CopyFrom(model)
    for field in (loop.graph.node, loop.graph.initializer, loop.graph.value_info):
        del field[:]
    loop.graph.node.append(helper.make_node("Scan", [PIXELS], [VECTOR], body=body, num_scan_inputs=1))
    return loop
