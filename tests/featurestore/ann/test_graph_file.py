"""Files of k-NN graphs: what was written is read, and nothing else."""

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featurestore.ann.graph_file import HEADER, open_graph, save_graph
from featurestore.ann.knn_graph import KnnGraph, build_graph
from featurestore.ann.row_filter import RowFilter
from featurestore.errors import DiskError, StoreUntrusted
from featurestore.progress import Listener
from featurestore.system.checked_file import CHECKSUM, write_checked
from tests.featurestore.ann.naive import clustered

VECTORS = hashlib.sha256(b"vectors").digest()


@pytest.fixture
def graph() -> KnnGraph:
    rows = RowFilter(40, np.arange(0, 40, 2))
    return replace(build_graph(clustered(40, 6)[0], rows, 3, None, Listener()), recall=0.75)


@pytest.fixture
def path(tmp_path: Path, graph: KnnGraph) -> Path:
    (tmp_path / "derived").mkdir()
    save_graph(graph, tmp_path / "derived" / "a.knn", VECTORS, 40)
    return tmp_path / "derived" / "a.knn"


def read(path: Path, covered: int = 40, vectors: bytes | None = VECTORS) -> KnnGraph | None:
    return open_graph(path, lambda count: vectors if count == covered else None, 40)


def test_what_was_written_is_read(path: Path, graph: KnnGraph) -> None:
    found = read(path)
    assert found is not None
    for name in ("rows", "indices", "scores"):
        assert getattr(found, name).dtype == getattr(graph, name).dtype
        np.testing.assert_array_equal(getattr(found, name), getattr(graph, name))
    assert found.recall == 0.75


@pytest.mark.parametrize("count", [0, 1])
def test_graphs_without_neighbours_are_kept_too(path: Path, count: int) -> None:
    save_graph(build_graph(clustered(5, 6)[0], RowFilter(5, np.arange(count)), 3, None, Listener()), path, VECTORS, 40)
    found = read(path)
    assert found is not None
    assert found.indices.shape == (count, 0)


def test_a_graph_of_other_vectors_is_not_used(path: Path) -> None:
    assert read(path, covered=39) is None
    assert read(path, vectors=VECTORS[::-1]) is None
    assert read(path.with_name("b.knn")) is None


def test_every_damaged_byte_is_found(path: Path) -> None:
    data = path.read_bytes()
    for place in range(len(data)):
        path.write_bytes(data[:place] + bytes([data[place] ^ 64]) + data[place + 1 :])
        assert read(path) is None, place
    for end in (0, 1, HEADER.size, HEADER.size + 9, len(data) - 1):
        path.write_bytes(data[:end])
        assert read(path) is None
    path.write_bytes(data + b"x")
    assert read(path) is None


@pytest.mark.parametrize(
    "change",
    [
        {"rows": np.arange(20)[::-1]},
        {"rows": np.arange(21, 41)},
        {"rows": np.arange(-1, 19)},
        {"rows": np.array([0, 2**63 - 1, -10, *range(1, 18)])},
        {"indices": np.full((20, 3), 20)},
        {"indices": np.full((20, 3), -1)},
        {"indices": np.arange(20)[:, None].repeat(3, 1)},
        {"scores": np.full((20, 3), np.nan)},
        {"scores": np.full((20, 3), 7.0)},
        {"scores": np.tile([0.1, 0.2, 0.3], (20, 1))},
        {"recall": 2.0},
        {"recall": float("nan")},
    ],
)
def test_what_makes_no_sense_is_not_used_though_its_checksum_fits(
    path: Path, graph: KnnGraph, change: dict[str, Any]
) -> None:
    save_graph(replace(graph, **change), path, VECTORS, 40)
    assert read(path) is None


def test_a_header_that_promises_much_allocates_nothing(path: Path) -> None:
    content = path.read_bytes()[:-CHECKSUM]
    fields = list(HEADER.unpack_from(content))
    fields[3] = 2**60
    write_checked(path, [HEADER.pack(*fields), content[HEADER.size :]])
    assert read(path) is None
    write_checked(path, [content[: HEADER.size - 1]])
    assert read(path) is None


def test_a_file_that_is_far_too_large_is_not_read(path: Path) -> None:
    with path.open("r+b") as file:
        file.truncate(2**40)
    assert read(path) is None


def test_a_link_is_refused_and_a_missing_folder_named(path: Path, graph: KnnGraph, tmp_path: Path) -> None:
    path.rename(tmp_path / "elsewhere")
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StoreUntrusted):
        read(path)
    with pytest.raises(DiskError, match="it is computed again when it is needed"):
        save_graph(graph, tmp_path / "none" / "a.knn", VECTORS, 40)
