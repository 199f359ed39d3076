"""Editing a graph: the notes of exporters, at every depth."""

import onnx
from onnx import TensorProto, helper

from featurestore.encoders.graph_edit import drop_traces


def graph(note: str) -> onnx.ModelProto:
    """A network with a branch, and a note on everything that may carry one."""
    value = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch"])
    inner = helper.make_graph([helper.make_node("Identity", ["x"], ["y"])], "inner", [], [value], doc_string=note)
    branch = helper.make_node("If", ["yes"], ["z"], then_branch=inner, else_branch=inner)
    function = helper.make_function("own", "f", ["a"], ["b"], [helper.make_node("Relu", ["a"], ["b"])], [])
    yes = helper.make_tensor("yes", TensorProto.BOOL, [], [True])
    model = helper.make_model(helper.make_graph([branch], "outer", [value], [value], [yes]), functions=[function])
    nodes = [branch.attribute[0].g.node[0], *model.graph.node, *model.functions[0].node]
    nodes += [attribute.g.node[0] for attribute in model.graph.node[0].attribute]
    for part in (
        *nodes,
        model.graph,
        model.functions[0],
        *model.graph.input,
        *model.graph.output,
        *model.graph.initializer,
    ):
        part.doc_string = note
        part.metadata_props.add(key="stack_trace", value=note)
    model.metadata_props.add(key="licence", value="MIT")
    return model


def test_notes_of_exporters_are_removed_at_every_depth_and_nothing_else() -> None:
    first, second = graph("/home/one/network.py"), graph("/home/two/network.py")
    assert first.SerializeToString() != second.SerializeToString()
    drop_traces(first)
    drop_traces(second)
    assert first.SerializeToString() == second.SerializeToString()
    assert b"network.py" not in first.SerializeToString()
    assert first.graph.node[0].attribute[0].g.node[0].op_type == "Identity"
    assert [(entry.key, entry.value) for entry in first.metadata_props] == [("licence", "MIT")]
