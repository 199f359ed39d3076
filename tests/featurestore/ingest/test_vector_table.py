"""Vectors made elsewhere are imported: tables of other programs, and arrays with a list of paths."""

import os
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from featurestore import FeatureStore
from featurestore.errors import EncoderNotInStore, SourceError


def test_vectors_made_elsewhere_are_taken_with_what_their_files_hold(
    other: FeatureStore, store: FeatureStore, colours: Path, tmp_path: Path
) -> None:
    x = store.features()[1]
    rows = store.sql("SELECT path, label FROM items ORDER BY id").to_pylist()
    table = {
        "file_name": [os.path.relpath(row["path"], tmp_path) for row in rows],
        "embedding": pa.array((3 * x.astype(np.float64)).tolist(), pa.list_(pa.float64())),
        "label": [row["label"] for row in rows],
        "extra": [1] * 6,
    }
    pq.write_table(pa.table(table), tmp_path / "foreign.parquet")
    report = other.import_vectors(tmp_path / "foreign.parquet")
    assert (report.added, report.failed, report.normalized) == (6, 0, 6)
    columns = "SELECT id, path, label, width, height, bytes, mtime_ns, sha256 FROM items ORDER BY id"
    assert other.sql(columns).to_pylist() == store.sql(columns).to_pylist()
    np.testing.assert_allclose(other.features()[1], x, atol=1e-3)
    assert other.index(colours).unchanged == 6


def test_an_array_comes_with_a_list_of_paths(other: FeatureStore, colours: Path, tmp_path: Path) -> None:
    np.save(tmp_path / "x.npy", np.eye(12, dtype=np.float16)[:2])
    paths = tmp_path / "paths.txt"
    paths.write_text(f"{colours}/primary/red.png\n{colours}/primary/gone.png\n")
    report = other.import_vectors(tmp_path / "x.npy", paths)
    assert (report.added, report.failed, report.normalized) == (1, 1, 0)
    assert other.features()[1].tolist() == [np.eye(12)[0].tolist()]
    for given, reason in (
        (None, "expected the paths of the vectors too.*--paths FILE.txt"),
        (tmp_path / "absent.txt", "no such file"),
        (tmp_path / "x.npy", "not UTF-8"),
    ):
        with pytest.raises(SourceError, match=reason):
            other.import_vectors(tmp_path / "x.npy", given)
    paths.write_text("a.png\n")
    with pytest.raises(SourceError, match=r"of floats for the 1 paths of .*found float16 of the shape \(2, 12\)"):
        other.import_vectors(tmp_path / "x.npy", paths)
    paths.write_text("a.png\nb.png\n")
    with pytest.raises(SourceError, match=r"none of its 2 files can be read; the first, .*a\.png: no such file"):
        other.import_vectors(tmp_path / "x.npy", paths)


def test_an_export_that_another_program_wrote_again_is_taken(
    exported: Path, store: FeatureStore, other: FeatureStore, tmp_path: Path
) -> None:
    again = tmp_path / "again.parquet"
    duckdb.sql(
        f"""COPY (SELECT * REPLACE (bytes::INTEGER AS bytes, vector::DOUBLE[] AS vector), 1 AS extra FROM '{exported}'
            WHERE id > 2) TO '{again}'"""
    )
    assert pq.read_schema(again).metadata is None or b"featurestore" not in pq.read_schema(again).metadata
    report = other.import_vectors(again)
    assert (report.added, report.normalized) == (4, 0)
    columns = "SELECT path, label, width, bytes, sha256 FROM items"
    assert (
        other.sql(f"{columns} ORDER BY id").to_pylist() == store.sql(f"{columns} WHERE id > 2 ORDER BY id").to_pylist()
    )
    with pytest.raises(EncoderNotInStore, match="does not say which encoder made its vectors; name it: --encoder"):
        FeatureStore.open(other.path).import_vectors(again)


def test_paths_in_any_table_become_those_of_items(other: FeatureStore, tmp_path: Path) -> None:
    """A table that says what is in its files is not checked against them, so a relative path would be one of no place."""
    written = ["x.png", "/a/../b.png", "/c.png", "https://h/x/../y.png", f"{tmp_path}/d.tar::in/e.png"]
    content = {"sha256": ["0" * 64] * 5, "bytes": [1] * 5, "mtime_ns": [1] * 5}
    vectors = np.eye(12, dtype=np.float32)[:5].tolist()
    pq.write_table(pa.table({"path": written, "vector": vectors, **content}), tmp_path / "t.parquet")
    other.import_vectors(tmp_path / "t.parquet")
    paths = [row["path"] for row in other.sql("SELECT path FROM items ORDER BY id").to_pylist()]
    assert paths == [f"{tmp_path.resolve()}/x.png", "/b.png", *written[2:]]
