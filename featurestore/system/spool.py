"""Rows on disk instead of in memory: written in batches, read from the start as often as needed, gone with the object."""

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pyarrow as pa

from featurestore.errors import DiskError

BATCH_ROWS = 1_024
IN_MEMORY = 1 << 20  # bytes that need no file


class Spool:
    """A temporary Arrow stream. One reader at a time."""

    def __init__(self, schema: pa.Schema) -> None:
        self.schema = schema
        self.rows = 0
        self._waiting: list[tuple[Any, ...]] = []
        self._file = tempfile.SpooledTemporaryFile(IN_MEMORY)  # noqa: SIM115 (it lives as long as the object)
        self._writer = pa.ipc.new_stream(self._file, schema, options=pa.ipc.IpcWriteOptions(compression="lz4"))

    def __del__(self) -> None:
        self._file.close()

    def add(self, row: tuple[Any, ...]) -> None:
        """Write one row, in the order of the schema."""
        self._waiting.append(row)
        self.rows += 1
        if len(self._waiting) == BATCH_ROWS:
            self._flush()

    def add_batch(self, batch: pa.RecordBatch) -> None:
        """Write many rows; raises DiskError when the folder for temporary files is full."""
        self.rows += len(batch)
        self._write(batch)

    def _write(self, batch: pa.RecordBatch) -> None:
        with _room():
            self._writer.write_batch(batch)

    def _flush(self) -> None:
        if self._waiting:
            columns = zip(*self._waiting, strict=True)
            arrays = [pa.array(column, field.type) for column, field in zip(columns, self.schema, strict=True)]
            self._waiting = []
            self._write(pa.record_batch(arrays, schema=self.schema))

    def reader(self) -> pa.RecordBatchReader:
        """Read all rows from the start; nothing more can be written."""
        self._flush()
        with _room():
            self._writer.close()
            self._file.seek(0)
        return pa.ipc.open_stream(self._file)


@contextmanager
def _room() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise DiskError(
            f"the list of files could not be written to {tempfile.gettempdir()} ({error.strerror or error}); free some space there, or set TMPDIR"
        ) from error
