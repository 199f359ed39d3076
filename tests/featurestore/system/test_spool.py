"""Rows in a temporary file."""

import pyarrow as pa
import pytest

from featurestore.system.spool import BATCH_ROWS, Spool

SCHEMA = pa.schema([("number", pa.int64())])


@pytest.mark.parametrize("batches", [0, 1, 2, 4])
def test_a_reader_that_stops_early_leaves_the_rows_as_they_are(batches: int) -> None:
    spool, count = Spool(SCHEMA), 3 * BATCH_ROWS + 5
    for number in range(count):
        spool.add((number,))
    first = spool.reader()
    for _ in range(batches):
        first.read_next_batch()
    for _ in range(2):
        assert spool.reader().read_all()["number"].to_pylist() == list(range(count))
    assert spool.rows == count
