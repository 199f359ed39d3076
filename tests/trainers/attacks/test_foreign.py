"""ONNX networks of strangers whose weights lie in other files: only files of their own folder are read, and no more than 2 GB."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import GraphProto, NodeProto, TensorProto, helper

from featurestore.errors import FeatureStoreError
from trainers.export import foreign

WEIGHTS = np.arange(4, dtype=np.float32)


def beside(place: str, count: int = 4) -> TensorProto:
    """A tensor whose numbers lie in a file."""
    tensor = TensorProto(name="weights", data_type=TensorProto.FLOAT, dims=[count], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value=place)
    return tensor


def graph(nodes: Sequence[NodeProto] = (), values: Sequence[TensorProto] = ()) -> GraphProto:
    return helper.make_graph(nodes, "stranger", [], [], values)


def constant(tensor: TensorProto) -> NodeProto:
    return helper.make_node("Constant", [], ["x"], value=tensor)


def branching(tensor: TensorProto) -> NodeProto:
    return helper.make_node(
        "If", ["c"], ["x"], then_branch=graph(values=[tensor]), else_branch=graph([constant(tensor)])
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of the network, and beside it a file that it must not read."""
    own = tmp_path / "network"
    own.mkdir()
    for path in (own / "own.bin", tmp_path / "secret.bin"):
        path.write_bytes(WEIGHTS.tobytes())
    (own / "link.bin").symlink_to(tmp_path / "secret.bin")
    (own / "outside").symlink_to(tmp_path)
    os.mkfifo(own / "pipe.bin")
    for name, size in (("holes.bin", 1 << 40), ("large.bin", 1 << 30)):
        with (own / name).open("wb") as file:
            file.truncate(size)
    return own


def read(folder: Path, *nodes: NodeProto, values: Sequence[TensorProto] = ()) -> onnx.ModelProto:
    (folder / "network.onnx").write_bytes(helper.make_model(graph(nodes, values)).SerializeToString())
    return foreign.load(folder / "network.onnx")


PLACES = (
    "../secret.bin",
    "{folder}/../secret.bin",
    "link.bin",
    "outside/secret.bin",
    "pipe.bin",
    "/dev/zero",
    "missing.bin",
    "holes.bin",
    "",
)


@pytest.mark.parametrize("place", PLACES)
def test_weights_elsewhere_are_not_read(folder: Path, place: str) -> None:
    tensor = beside(place.format(folder=folder))
    for nodes, values in (((), (tensor,)), ((constant(tensor),), ()), ((branching(tensor),), ())):
        with pytest.raises(FeatureStoreError) as found:
            read(folder, *nodes, values=values)
        assert len(str(found.value).splitlines()) == 1


def test_many_weights_of_one_file_take_no_more_memory_than_2_gb(folder: Path) -> None:
    values = [beside("large.bin", 1 << 28) for _ in range(3)]
    with pytest.raises(FeatureStoreError, match=r"expected a network of at most 2 GB.*; found 3\.2 GB of weights"):
        read(folder, values=values)


def test_a_pipe_is_not_waited_for(folder: Path) -> None:
    with pytest.raises(FeatureStoreError, match="a pipe, a socket or a device"):
        foreign.load(folder / "pipe.bin")


def test_weights_of_its_own_folder_are_read(folder: Path) -> None:
    """The refusals would otherwise prove nothing."""
    for found in (
        read(folder, values=[beside("own.bin")]).graph.initializer[0],
        read(folder, constant(beside("own.bin"))).graph.node[0].attribute[0].t,
    ):
        assert found.raw_data == WEIGHTS.tobytes()
