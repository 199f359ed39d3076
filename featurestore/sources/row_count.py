"""Whether a table gave all the rows that it promised."""

from collections.abc import Iterator

import pyarrow as pa


def all_rows(batches: Iterator[pa.RecordBatch], rows: int) -> Iterator[pa.RecordBatch]:
    """Give batches on. Raises ArrowInvalid at the end when they have not `rows` rows: pyarrow passes over a page whose header was damaged."""
    found = 0
    for batch in batches:
        found += len(batch)
        yield batch
    if found != rows:
        raise pa.ArrowInvalid(f"{rows:,} rows were promised and {found:,} are there: it is damaged")
