"""Vectors on disk: unit length, append-only, cut back to what was committed."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from featurestore.ann.normalize import unit_rows
from featurestore.errors import DiskError, StoreCorrupt
from featurestore.storage.vectors import VectorFile


def rows(*first: float) -> NDArray[np.float32]:
    """Vectors (n, 3) that are recognised by their first number."""
    return np.array([[value, 0, 0.5] for value in first], np.float32)


@pytest.fixture
def file(tmp_path: Path) -> VectorFile:
    return VectorFile(tmp_path / "v.f16", 3)


def test_rows_come_back_in_order(file: VectorFile) -> None:
    file.append(rows(1, 2), committed=0)
    file.append(rows(3), committed=2)
    found = file.open(3)
    assert found[:, 0].tolist() == [1, 2, 3]
    assert found.shape == (3, 3)
    assert found.dtype == np.float16
    assert file.open(2)[:, 0].tolist() == [1, 2]  # only those that are committed
    with pytest.raises(ValueError, match="read-only"):
        found[0, 0] = 9


def test_the_bytes_are_little_endian_float16(file: VectorFile) -> None:
    file.append(np.array([[1.0, -2.0, 0.5]], np.float32), committed=0)
    assert file.path.read_bytes() == bytes.fromhex("003c 00c0 0038")


def test_the_next_writer_cuts_off_what_a_crash_left(file: VectorFile) -> None:
    file.append(rows(1, 2), committed=0)
    with file.path.open("ab") as handle:
        handle.write(b"\x01\x02\x03\x04\x05\x06\x07")  # one row and a torn one that no catalog knows
    file.append(rows(3), committed=2)
    assert file.open(3)[:, 0].tolist() == [1, 2, 3]
    assert file.path.stat().st_size == 3 * 6


def test_a_file_that_is_missing_or_too_short_is_corrupt_with_both_counts(file: VectorFile) -> None:
    with pytest.raises(StoreCorrupt, match="counts 1 rows of 6 bytes, the file has 0"):
        file.open(1)
    assert file.open(0).shape == (0, 3)
    file.append(rows(1, 2, 3), committed=0)
    with file.path.open("r+b") as handle:
        handle.truncate(2 * 6 + 1)
    with pytest.raises(StoreCorrupt, match=r"counts 3 rows of 6 bytes, the file has 2"):
        file.open(3)
    with pytest.raises(StoreCorrupt, match=r"counts 3 rows of 6 bytes, the file has 2"):
        file.append(rows(4), committed=3)
    assert file.path.stat().st_size == 13


def test_a_folder_that_is_gone_is_a_disk_error(tmp_path: Path) -> None:
    with pytest.raises(DiskError, match=r"v\.f16: 1 vectors could not be written \(No such file"):
        VectorFile(tmp_path / "absent" / "v.f16", 3).append(rows(1), committed=0)


def test_a_copy_holds_just_the_chosen_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("featurestore.storage.vectors.BLOCK_ROWS", 3)
    x = np.random.default_rng(0).normal(size=(20, 4)).astype(np.float32)
    file = VectorFile(tmp_path / "a.f16", 4)
    file.append(x, 0)
    rows = np.array([0, 1, 3, 6, 7, 13, 19])
    blocks = file.copy(rows, tmp_path / "b.f16")
    copied = VectorFile(tmp_path / "b.f16", 4)
    np.testing.assert_array_equal(copied.open(7), x[rows].astype(np.float16))
    assert [(block.first, block.rows) for block in blocks] == [(0, 3), (3, 3), (6, 1)]
    assert blocks == copied.checksums(7)
    assert copied.damaged(blocks) == []


@pytest.mark.parametrize("scale", [1.0, 1e-42, 1e-20, 1e20, 5e37])
def test_rows_get_unit_length(scale: float) -> None:
    found = unit_rows(np.array([[3, 0, 4], [0, -2, 0]], np.float32) * np.float32(scale))
    np.testing.assert_allclose(found, np.array([[0.6, 0, 0.8], [0, -1, 0]]), atol=2e-3 if scale < 1e-40 else 1e-6)
    assert found.dtype == np.float32


@pytest.mark.parametrize("bad", [[0, 0, 0], [np.nan, 1, 1], [np.inf, 0, 0], [-np.inf, np.inf, 1]])
def test_a_row_without_direction_becomes_nan_and_its_neighbours_do_not(bad: list[float]) -> None:
    found = unit_rows(np.array([[2, 0, 0], bad, [0, 0, 5]], np.float32))
    assert np.isnan(found[1]).all()
    assert found[[0, 2]].tolist() == [[1, 0, 0], [0, 0, 1]]


def test_no_rows_stay_no_rows() -> None:
    assert unit_rows(np.empty((0, 4), np.float32)).shape == (0, 4)
