"""Rows in a temporary file instead of in memory: written in batches, read from the start any number of times, deleted with the object."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from featurestore.errors import DiskError

BATCH_ROWS = 1_024
IN_MEMORY = 1 << 20  # bytes up to which there is no file


class Spool:
    """A temporary Arrow stream. One reader at a time."""

    def __init__(self, schema: pa.Schema) -> None:
        self.schema = schema
        self.rows = 0
        self._is_complete = False
        self._pending: list[tuple[Any, ...]] = []
        self._file = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 (closed with the object)
        self._writer = pa.ipc.new_stream(self._file, schema, options=pa.ipc.IpcWriteOptions(compression="lz4"))

    def __del__(self) -> None:
        self._file.close()

    def add(self, row: tuple[Any, ...]) -> None:
        """Add one row, its values in the order of the schema."""
        self._pending.append(row)
        self.rows += 1
        if len(self._pending) == BATCH_ROWS:
            self._flush()

    def add_batch(self, batch: pa.RecordBatch) -> None:
        """Add many rows. Raises DiskError when the folder for temporary files is full."""
        self.rows += len(batch)
        self._write(batch)

    def _write(self, batch: pa.RecordBatch) -> None:
        with _disk_errors():
            self._writer.write_batch(batch)

    def _flush(self) -> None:
        if self._pending:
            columns = zip(*self._pending, strict=True)
            arrays = [pa.array(column, field.type) for column, field in zip(columns, self.schema, strict=True)]
            self._pending = []
            self._write(pa.record_batch(arrays, schema=self.schema))

    def reader(self) -> pa.RecordBatchReader:
        """Read all rows from the start; no more rows can be added after this."""
        self._flush()
        with _disk_errors():
            if not self._is_complete:
                self._writer.close()  # once: again, it would write an end where the last reader stopped
                self._is_complete = True
            self._file.seek(0)
        return pa.ipc.open_stream(self._file)


@contextmanager
def _disk_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DiskError(
            f"the list of files could not be written to {tempfile.gettempdir()} ({error.strerror or error}); free some space there, or set TMPDIR"
        ) from error
