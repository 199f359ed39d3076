"""Parquet files of strangers for `import-vectors`: what makes no sense enters no store."""

import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from featurestore import FeatureStore
from featurestore.errors import SourceError
from tests.featurestore.fakes import paint

PATHS = 3
VECTORS: dict[str, pa.Array] = {
    "of other lengths, right on average": pa.array([[1.0] * 11, [1.0] * 13, [1.0] * 12]),
    "the same in large lists": pa.array([[1.0] * 11, [1.0] * 13, [1.0] * 12], pa.large_list(pa.float32())),
    "no list": pa.array([None, [1.0] * 12, [1.0] * 12]),
    "no number": pa.array([[1.0] * 11 + [None]] * 3),
    "NaN": pa.array([[np.nan] * 12] * 3),
    "infinite": pa.array([[np.inf] * 12] * 3),
    "infinite as float32": pa.array([[1e300] * 12] * 3),
    "zero": pa.array([[0.0] * 12] * 3),
    "integers": pa.array([[1] * 12] * 3),
    "nested": pa.array([[[1.0] * 12]] * 3),
    "structs": pa.array([{"a": 1.0}] * 3),
}


@pytest.mark.parametrize("kind", VECTORS)
def test_vectors_that_make_no_sense_enter_no_store(tmp_path: Path, encoder: Path, kind: str) -> None:
    paths = [str(paint(tmp_path / f"{number}.png", (number, 0, 0))) for number in range(PATHS)]
    pq.write_table(pa.table({"path": paths, "vector": VECTORS[kind]}), tmp_path / "v.parquet")
    store = FeatureStore.open(tmp_path / "new.store", encoder)
    with warnings.catch_warnings(action="error"), pytest.raises(SourceError, match="expected") as told:
        store.import_vectors(tmp_path / "v.parquet")
    assert len(str(told.value).splitlines()) == 1
    assert not (tmp_path / "new.store").exists() or store.info()["items"] == 0


def test_flipped_bytes_are_an_error_in_one_line(tmp_path: Path, encoder: Path) -> None:
    """A file of another program has no checksums: a path may be no text."""
    paths = [str(paint(tmp_path / f"{number}.png", (number, 0, 0))) for number in range(PATHS)]
    vectors = pa.array([[1.0] * 12] * PATHS)
    pq.write_table(pa.table({"path": paths, "vector": vectors}), tmp_path / "v.parquet", compression="none")
    data = (tmp_path / "v.parquet").read_bytes()
    store = FeatureStore.open(tmp_path / "new.store", encoder)
    for changed in (
        data.replace(b"0.png", b"\xff.png"),
        data.replace(b"path", b"\xffath"),
        data.replace(b"vector", b"vec\xffor"),
    ):
        (tmp_path / "v.parquet").write_bytes(changed)
        with pytest.raises(SourceError) as told:
            store.import_vectors(tmp_path / "v.parquet")
        assert len(str(told.value).splitlines()) == 1
