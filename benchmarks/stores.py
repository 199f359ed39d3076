"""Stores of vectors without images, written as `index` writes them: a block to the vector file, then one transaction of the catalog."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

from benchmarks.clusters import Clusters
from benchmarks.encoders import write_encoder
from featurestore import FeatureStore
from featurestore.catalog import ItemChange
from featurestore.storage import Storage

SIDE = 8  # px, of the images that the encoder takes
DRAWN = 1_000_000  # `bytes` of an item is any number below: `bytes < 10000` holds for 1 % of the items, whatever their vectors
QUERIES = 4096  # held out of the rows


def queries_of(store: Path) -> Path:
    """Where the queries (QUERIES, D), float32, of a store lie."""
    return store.with_suffix(".queries.npy")


def encoder_file(dim: int, out: Path) -> Path:
    """Write an encoder of D dimensions that multiplies pixels by random weights: nobody asks it, but every store has one."""
    weights = np.random.default_rng(dim).standard_normal((3 * SIDE * SIDE, dim), np.float32)
    product = helper.make_node("MatMul", ["flat", "weights"], ["vector"])
    tensor = helper.make_tensor("weights", TensorProto.FLOAT, weights.shape, weights.ravel())
    return write_encoder("random", SIDE, dim, [product], [tensor], out)


def grow(out: Path, rows: int, dim: int) -> None:
    """Bring a store of `Clusters` to so many rows, from none or from fewer; its queries stay the same."""
    clusters = Clusters(dim)
    store = _opened(out, dim)
    for vectors, groups in clusters.rows(store.encoder_record(None).rows, rows):
        _append(store, vectors, [f"group-{group:03}" for group in groups])
    if not queries_of(out).exists():
        np.save(queries_of(out), clusters.queries(QUERIES))


def hold_out(source: Path, out: Path) -> None:
    """Write a store of the vectors and labels of another, without QUERIES of them (a tenth, if that is less), which become its queries."""
    _, vectors, labels = FeatureStore.open(source).features()
    order = np.random.default_rng(0).permutation(len(vectors))
    asked, kept = np.split(order, [min(QUERIES, len(order) // 10)])
    _append(_opened(out, vectors.shape[1]), vectors[kept], labels[kept].tolist())
    np.save(queries_of(out), vectors[asked])


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
