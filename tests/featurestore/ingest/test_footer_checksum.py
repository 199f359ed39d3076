"""The checksum of a footer: other readers do not notice it, and no flipped bit of the footer goes unnoticed."""

from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from featurestore.ingest.footer_checksum import DIGEST_BYTES, MARK, add_footer_checksum, is_footer_damaged


@pytest.fixture
def table(tmp_path: Path) -> Path:
    path = tmp_path / "t.parquet"
    pq.write_table(pa.table({"a": [1, 2, 3], "b": ["x", None, "z"]}), path)
    return path


def damaged(path: Path) -> bool:
    with path.open("rb") as file:
        return is_footer_damaged(file)


def test_a_file_with_a_checksum_reads_as_before(table: Path) -> None:
    before, size = pq.read_table(table), table.stat().st_size
    assert not damaged(table)  # there is nothing to compare with
    with table.open("r+b") as file:
        add_footer_checksum(file)
    assert table.stat().st_size == size + len(MARK) + DIGEST_BYTES
    assert pq.read_table(table).equals(before)
    assert not damaged(table)


def test_every_flipped_bit_of_the_footer_is_noticed(table: Path) -> None:
    with table.open("r+b") as file:
        add_footer_checksum(file)
    whole = table.read_bytes()
    first = whole.index(MARK) + len(MARK)
    for byte in range(first, len(whole) - 8):
        table.write_bytes(whole[:byte] + bytes([whole[byte] ^ 1 << byte % 8]) + whole[byte + 1 :])
        assert damaged(table), byte
