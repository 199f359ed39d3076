"""Parquet files of images."""

import threading
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate

import pyarrow as pa

from featurestore.errors import ImageError
from featurestore.sources import filesystem
from featurestore.sources.local_files import FileState
from featurestore.sources.lru_cache import LruCache
from featurestore.sources.row_count import all_rows
from featurestore.sources.table_columns import features_of
from featurestore.sources.tables import CACHED_BYTES, TableFile, image_bytes
from featurestore.sources.unpacking import parquet_too_large

STEP = 16  # rows that are decoded together

_decoded: LruCache[bytes] = LruCache(CACHED_BYTES, least=4 * STEP)  # by file, state and row


class ParquetTable(TableFile):
    """A parquet file. A row group can only be decoded from its first row on, so reading in order is cheap."""

    def __init__(self, path: str, state: FileState) -> None:
        import pyarrow.parquet as pq  # slow to import, and most commands do without

        source = pa.PythonFile(filesystem.open_file(path), "r") if filesystem.is_url(path) else pa.OSFile(path)
        # Not a whole row group at once.
        self._file = pq.ParquetFile(source, pre_buffer=False, buffer_size=1 << 20, page_checksum_verification=True)
        schema, metadata = self._file.schema_arrow, self._file.metadata
        if found := parquet_too_large(source.size(), metadata):
            raise ImageError(found)
        super().__init__(path, state, schema, metadata.num_rows, features_of(schema.metadata))
        groups = (metadata.row_group(number).num_rows for number in range(metadata.num_row_groups))
        self._starts = list(accumulate(groups, initial=0))  # first row of each row group, and the number of rows
        self._lock = threading.Lock()  # of the file and of the fields below
        self._following: Iterator[pa.RecordBatch] = iter(())  # yields the rows from `_next` to `_end`
        self._next = self._end = 0

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        leaves = [self._leaf(name) for name in columns]
        for group in range(len(self._starts) - 1):  # one by one: damage in one does not affect the rows before it
            rows = self._starts[group + 1] - self._starts[group]
            batches = all_rows(self._file.iter_batches(STEP, row_groups=[group], columns=leaves), rows)
            while True:
                with self._lock:
                    batch = next(batches, None)
                if batch is None:
                    break
                yield batch

    def image(self, row: int) -> bytes | None:
        with self._lock:
            cached = _decoded.get((self.path, self.state, row))
            return self._decode(row) if cached is None else cached

    def _decode(self, row: int) -> bytes | None:
        """Decode up to a row, and cache the rows on the way: other threads will need them soon."""
        if not self._next <= row < self._end:
            self._seek(row)
        while (batch := next(self._following, None)) is not None:
            first, values = self._next, image_bytes(batch.column(0)).to_pylist()
            for number, value in enumerate(values, start=first):
                if value is not None:
                    _decoded.put((self.path, self.state, number), value, len(value))
            self._next += len(values)
            if row < self._next:
                return None if values[row - first] is None else bytes(values[row - first])
        self._end = 0  # the next call starts again
        raise ImageError("cut off or damaged: its row group ends before the row")

    def _seek(self, row: int) -> None:
        group = bisect_right(self._starts, row) - 1
        assert self.image_column is not None
        self._following = self._file.iter_batches(STEP, row_groups=[group], columns=[self._leaf(self.image_column)])
        self._next, self._end = self._starts[group], self._starts[group + 1]

    def _leaf(self, column: str) -> str:
        """Return what to decode of a column: of a struct only the bytes of the image."""
        return f"{column}.bytes" if pa.types.is_struct(self.schema.field(column).type) else column
