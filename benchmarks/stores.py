"""Stores of generated vectors without images, committed as `featurestore index` commits: a block of vectors, then one catalog transaction.

Shared by the benchmarks of search and evaluation. `python -m benchmarks.search generate` is the command.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper

from benchmarks.clusters import Clusters
from featurestore import FeatureStore
from featurestore.catalog import ItemChange
from featurestore.encoders.card import CARD_KEY, Card
from featurestore.imaging.preprocess import Preprocess
from featurestore.storage import Storage
from featurestore.version import __version__

SIDE = 8  # px, of the encoder's images
DRAWN = 1_000_000  # `bytes` of an item is uniform below this: `bytes < 10000` matches 1 % of the items, whatever their vectors
QUERIES = 4096  # not among the rows


def queries_of(store: Path) -> Path:
    """The file of a store's queries: (QUERIES, D), float32."""
    return store.with_suffix(".queries.npy")


def encoder_file(dim: int, out: Path) -> Path:
    """Write an encoder that multiplies pixels by random weights to D numbers: a store needs one, though no search by vector runs it."""
    weights = np.random.default_rng(dim).standard_normal((3 * SIDE * SIDE, dim), np.float32)
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["pixels"], ["floats"], to=TensorProto.FLOAT),
            helper.make_node("Flatten", ["floats"], ["flat"]),
            helper.make_node("MatMul", ["flat", "weights"], ["vector"]),
        ],
        "random",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["batch", SIDE, SIDE, 3])],
        [helper.make_tensor_value_info("vector", TensorProto.FLOAT, ["batch", dim])],
        [helper.make_tensor("weights", TensorProto.FLOAT, weights.shape, weights.ravel())],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    card = Card(Preprocess(SIDE, SIDE), dim, "random", "none", "none", {"count": 0, "sha256": ""}, "", __version__)
    helper.set_model_props(model, {CARD_KEY: card.to_json()})
    onnx.save(model, out)
    return out


def grow(out: Path, rows: int, dim: int) -> None:
    """Create a store of `Clusters`, or let one grow, to `rows` rows. Its queries stay the same."""
    clusters = Clusters(dim)
    store = _opened(out, dim)
    for vectors, groups in clusters.rows(store.encoder_record(None).rows, rows):
        _append(store, vectors, [f"group-{group:03}" for group in groups])
    if not queries_of(out).exists():
        np.save(queries_of(out), clusters.queries(QUERIES))


def hold_out(source: Path, out: Path) -> None:
    """Write a store of another's vectors and labels, except QUERIES of them (at most a tenth), which become the queries."""
    _, vectors, labels = FeatureStore.open(source).features()
    order = np.random.default_rng(0).permutation(len(vectors))
    queries, rows = np.split(order, [min(QUERIES, len(order) // 10)])
    _append(_opened(out, vectors.shape[1]), vectors[rows], labels[rows].tolist())
    np.save(queries_of(out), vectors[queries])


def _opened(out: Path, dim: int) -> Storage:
    if (out / "catalog.duckdb").exists():
        return Storage.open(out)
    file = encoder_file(dim, out.with_suffix(".onnx"))
    store = Storage.open(out, file)
    store.create()
    assert store.given_encoder is not None
    store.add_encoder(store.given_encoder)
    file.unlink()
    return store


def _append(store: Storage, vectors: NDArray[np.float32], labels: Sequence[str | None]) -> None:
    with store.writing():
        writer = store.vector_writer(store.encoder_record(None))
        rows = range(writer.rows, writer.rows + len(vectors))
        changes = [_item(row, label) for row, label in zip(rows, labels, strict=True)]
        writer.commit(changes, vectors, rows.stop + 1)


def _item(row: int, label: str | None) -> ItemChange:
    path = f"/data/{row // 10_000:06}/{row:010}.jpg"
    split = "test" if row % 10 == 0 else "train"
    sha256 = hashlib.sha256(path.encode()).hexdigest()
    size = int(sha256[:8], 16) % DRAWN
    return ItemChange(row + 1, True, path, label, split, 640, 480, size, 1_700_000_000_000_000_000 + row, sha256, row)
