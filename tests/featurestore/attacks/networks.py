"""Networks of strangers: encoder files with a good card, and a graph that does harm."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from onnx import FunctionProto, ModelProto, NodeProto, TensorProto, ValueInfoProto, helper, numpy_helper

from featurestore.encoders.card import CARD_KEY, Card
from tests.featurestore.fakes import CARD, DIM, SIZE


def network(*nodes: NodeProto, card: str | None = None, **constants: object) -> ModelProto:
    """An encoder whose vectors are the value "weights" of `nodes`, plus the mean of the pixels, "grey" (B, 1)."""
    own = [
        helper.make_node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("ReduceMean", ["floats"], ["grey"], axes=[1, 2], keepdims=0),
        helper.make_node("ReduceMean", ["grey"], ["column"], axes=[1], keepdims=1),
        helper.make_node("ReduceMax", ["floats"], ["brightest"], keepdims=0),
    ]
    last = helper.make_node("Add", ["column", "weights"], ["vector"])
    constants = {"dim": np.array([DIM]), **constants}
    graph = helper.make_graph(
        [*own, *nodes, last],
        "stranger",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["batch", SIZE, SIZE, 3])],
        [helper.make_tensor_value_info("vector", TensorProto.FLOAT, ["batch", DIM])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    helper.set_model_props(made, {CARD_KEY: CARD.to_json() if card is None else card})
    return made


def written(made: ModelProto, path: Path) -> Path:
    path.write_bytes(made.SerializeToString())
    return path


def spread(value: str) -> list[NodeProto]:
    """The nodes that make the weights from any value: its mean, DIM times."""
    mean = helper.make_node("ReduceMean", [value], ["mean"], keepdims=0)
    return [mean, helper.make_node("Expand", ["mean", "dim"], ["weights"])]


def endless() -> ModelProto:
    """A loop of 2^62 rounds."""

    def scalar(name: str, kind: int) -> ValueInfoProto:
        return helper.make_tensor_value_info(name, kind, [])

    body = helper.make_graph(
        [helper.make_node("Identity", ["on"], ["still_on"]), helper.make_node("Add", ["x", "one"], ["next"])],
        "body",
        [scalar("round", TensorProto.INT64), scalar("on", TensorProto.BOOL), scalar("x", TensorProto.FLOAT)],
        [scalar("still_on", TensorProto.BOOL), scalar("next", TensorProto.FLOAT)],
    )
    loop = helper.make_node("Loop", ["rounds", "yes", "brightest"], ["sum"], body=body)
    return network(loop, *spread("sum"), rounds=np.int64(1 << 62), yes=True, one=np.float32(1))


def endless_for_white() -> ModelProto:
    """The same for images with a white pixel, and good vectors for all others: no trial run would notice."""
    made = endless()
    [loop] = [node for node in made.graph.node if node.op_type == "Loop"]
    loop.input[0] = "chosen"
    at = list(made.graph.node).index(loop)
    for node in (
        helper.make_node("Equal", ["brightest", "white"], ["is_white"]),
        helper.make_node("Where", ["is_white", "rounds", "few"], ["chosen"]),
    ):
        made.graph.node.insert(at, node)
        at += 1
    values = {"white": np.float32(255), "few": np.int64(1)}
    made.graph.initializer.extend(numpy_helper.from_array(np.asarray(v), name) for name, v in values.items())
    return made


def one_long_step(side: int) -> ModelProto:
    """One product of two square matrices, which cannot be interrupted."""
    return network(
        helper.make_node("Expand", ["brightest", "square"], ["x"]),
        helper.make_node("MatMul", ["x", "x"], ["y"]),
        *spread("y"),
        square=np.array([side, side]),
    )


def folded(side: int, products: int) -> ModelProto:
    """Products of constant matrices, which onnxruntime computes and keeps while it opens the file."""
    one = helper.make_tensor("one", TensorProto.FLOAT, [1], [1.0])
    nodes = [helper.make_node("ConstantOfShape", ["square"], ["x0"], value=one)]
    nodes += [helper.make_node("MatMul", [f"x{n}", "x0"], [f"x{n + 1}"]) for n in range(products)]
    return network(*nodes, *spread(f"x{products}"), square=np.array([side, side]))


def vast(kind: str, count: int) -> ModelProto:
    """`count` numbers from a file of few bytes, made when the network runs."""
    size = [
        helper.make_node("Cast", ["brightest"], ["bright"], to=TensorProto.INT64),
        helper.make_node("Mul", ["bright", "zero"], ["nothing"]),
        helper.make_node("Add", ["count", "nothing"], ["n"]),
    ]
    makers = {
        "ConstantOfShape": [helper.make_node("ConstantOfShape", ["n"], ["vast"])],
        "Expand": [helper.make_node("Expand", ["brightest", "n"], ["vast"])],
        "Tile": [helper.make_node("Reshape", ["brightest", "minus"], ["one"]), helper.make_node("Tile", ["one", "n"], ["vast"])],
        "Range": [
            helper.make_node("Squeeze", ["n"], ["end"]), helper.make_node("Range", ["zero", "end", "step"], ["whole"]),
            helper.make_node("Cast", ["whole"], ["vast"], to=TensorProto.FLOAT),
        ],
        "Resize": [
            helper.make_node("Concat", ["batch", "n"], ["sizes"], axis=0), helper.make_node("Unsqueeze", ["grey", "last"], ["line"]),
            helper.make_node("Reshape", ["grey", "row"], ["line1"]),
            helper.make_node("Resize", ["line1", "", "", "sizes"], ["vast"], mode="nearest"),
        ],
        "doubling": [
            helper.make_node("Expand", ["brightest", "dim"], ["d0"]),
            *(helper.make_node("Concat", [f"d{n}"] * 2, [f"d{n + 1}"], axis=0) for n in range(36)),
            helper.make_node("Identity", ["d36"], ["vast"]),
        ],
    }  # fmt: skip
    values: dict[str, Any] = {
        "count": np.array([count]),
        "zero": np.int64(0),
        "step": np.int64(1),
        "minus": np.array([1]),
        "batch": np.array([1]),
    }
    return network(*size, *makers[kind], *spread("vast"), last=np.array([1]), row=np.array([1, -1]), **values)


def random(kind: str) -> ModelProto:
    """Vectors that are others each time."""
    ones = np.ones(DIM, np.float32)
    makers = {
        "RandomNormal": [helper.make_node("RandomNormal", [], ["weights"], shape=[DIM])],
        "RandomUniformLike": [helper.make_node("RandomUniformLike", ["ones"], ["weights"])],
        "Dropout": [helper.make_node("Dropout", ["ones", "half", "yes"], ["weights"])],
        "Multinomial": [
            helper.make_node("Sub", ["grey", "grey"], ["even"]),
            helper.make_node("Multinomial", ["even"], ["drawn"], sample_size=DIM),
            helper.make_node("Cast", ["drawn"], ["weights"], to=TensorProto.FLOAT),
        ],
        "Bernoulli": [helper.make_node("Bernoulli", ["halves"], ["weights"])],
    }  # fmt: skip
    return network(*makers[kind], ones=ones, halves=ones / 2, half=np.float32(0.5), yes=True)


# -- outputs that are not what was declared


def of_shape(shape: Sequence[int], name: str) -> list[NodeProto]:
    """The nodes that make the value `name` of any shape, which onnxruntime cannot tell before it runs them."""
    return [
        helper.make_node("Constant", [], [f"{name}_shape"], value_ints=shape),
        helper.make_node("Cast", ["brightest"], [f"{name}_bright"], to=TensorProto.INT64),
        helper.make_node("Sub", [f"{name}_bright"] * 2, [f"{name}_zero"]),
        helper.make_node("Add", [f"{name}_shape", f"{name}_zero"], [f"{name}_sizes"]),
        helper.make_node("Expand", ["fill", f"{name}_sizes"], [name]),
    ]


def giving(card: Card = CARD, fill: float = 0.5, **outputs: Sequence[int]) -> ModelProto:
    """An encoder that gives values of other shapes than it declares, whatever the batch is: the first ones are its vectors."""
    made = network(
        *(node for name, shape in outputs.items() for node in of_shape(shape, name)),
        card=card.to_json(),
        fill=np.float32(fill),
    )
    del made.graph.node[-1], made.graph.output[:]
    widths: dict[str, list[Any]] = {
        "vector": [DIM],
        "probabilities": [len(card.classes)],
        "attention": ["heads", "h", "w"],
    }
    made.graph.output.extend(
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["batch", *widths[name]]) for name in outputs
    )
    return made


# -- graphs that nobody could run


def calling(*functions: FunctionProto) -> ModelProto:
    """An encoder that calls the last of some functions, each of which may call the others."""
    name = functions[-1].name
    made = network(
        helper.make_node(name, ["brightest"], ["x"], domain="f"), helper.make_node("Expand", ["x", "dim"], ["weights"])
    )
    made.functions.extend(functions)
    made.opset_import.append(helper.make_opsetid("f", 1))
    return made


def function(name: str, *calls: str) -> FunctionProto:
    """A function that calls others, one after the other."""
    values = ["x", *(f"x{n}" for n in range(1, len(calls))), "y"]
    nodes = [
        helper.make_node(call, [x], [y], domain="f" if call.startswith("F") else "")
        for call, x, y in zip(calls, values, values[1:], strict=False)
    ]
    return helper.make_function(
        "f", name, ["x"], ["y"], nodes, [helper.make_opsetid("", 17), helper.make_opsetid("f", 1)]
    )


def sized(*dims: int, sparse: bool = False) -> ModelProto:
    """An encoder with a value of many numbers in a file of few bytes."""
    made = network(*spread("vast"))
    tensor = numpy_helper.from_array(np.ones(1, np.float32), "vast")
    if sparse:
        place = numpy_helper.from_array(np.zeros(1, np.int64), "place")
        made.graph.sparse_initializer.append(helper.make_sparse_tensor(tensor, place, dims))
    else:
        tensor.dims[:] = dims
        made.graph.initializer.append(tensor)
    return made


def with_inputs(count: int) -> ModelProto:
    made = network(helper.make_node("Expand", ["brightest", "dim"], ["weights"]))
    made.graph.input.extend(helper.make_tensor_value_info(f"i{n}", TensorProto.FLOAT, ["batch"]) for n in range(count))
    return made


def cyclic() -> ModelProto:
    return network(
        helper.make_node("Add", ["a", "brightest"], ["b"]), helper.make_node("Neg", ["b"], ["a"]), *spread("b")
    )


def doubling_functions() -> ModelProto:
    """Functions that each call the one before twice: 2^39 nodes once they are put in place of their calls."""
    return calling(function("F0", "Neg"), *(function(f"F{n}", *[f"F{n - 1}"] * 2) for n in range(1, 40)))


BOMBS = {
    "recursion": calling(function("F", "Neg", "F")),
    "mutual recursion": calling(function("G", "Neg"), function("F1", "F2"), function("F2", "F1")),
    "cycle": cyclic(),
    "vast": sized(1 << 40),
    "overflow": sized(1 << 32, 1 << 32),
    "negative": sized(-1),
    "vast sparse": sized(1 << 36, sparse=True),
    "overflow sparse": sized(1 << 32, 1 << 32, sparse=True),
    "inputs": with_inputs(10_000),
}
