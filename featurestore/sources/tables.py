"""Tables of images: their entries, and the image of one row."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from typing import Any

import pyarrow as pa

from featurestore.errors import ImageError
from featurestore.sources.base import UNLABELLED, Failure, ImageFile, Labels, as_label, as_labels, as_split
from featurestore.sources.filesystem import FileState
from featurestore.sources.table_columns import choose_columns

CACHED_BYTES = 128 << 20  # of rows that were read, once for all parquet files, once for all Arrow files


class TableFile(ABC):
    """A table with a column of images, or of their paths. Raises SourceError when it has neither."""

    def __init__(self, path: str, state: FileState, schema: pa.Schema, count: int, features: Mapping[str, Any]) -> None:
        self.path, self.state, self.schema, self.count = path, state, schema, count
        self.columns = choose_columns(path, schema, features)

    @property
    def lists_files(self) -> bool:
        """Whether the rows hold paths instead of images."""
        return self.columns.image is None

    @property
    def weight(self) -> int:
        return 25_000  # so that at most twenty are open

    @abstractmethod
    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield all rows in order, in batches of bounded size, with the columns in use."""

    @abstractmethod
    def image(self, row: int) -> bytes | None:
        """Return the image of one row, None when it is null; thread-safe."""

    def __iter__(self) -> Iterator[ImageFile | Failure]:
        import pyarrow.compute as pc  # slow to import, and most commands do without

        row = 0
        for batch in self.batches():
            sizes = pc.binary_length(image_bytes(batch.column(self.columns.image))).to_pylist()
            for size, (label, labels), split in zip(sizes, self._labels(batch), self._splits(batch), strict=True):
                path = f"{self.path}::{row}"
                yield (
                    Failure(path, "the row has no image")
                    if size is None
                    else ImageFile(path, label, split, size, self.state.mtime_ns, labels)
                )
                row += 1

    def read(self, member: str) -> bytes:
        """Return the image of a row, given its number as text. Raises ImageError when there is none."""
        if not (member.isdecimal() and member.isascii() and int(member) < self.count):
            raise ImageError(f"no such row: the file holds {self.count}, counted from 0")
        data = self.image(int(member))
        if data is None:
            raise ImageError("the row has no image")
        return data

    def listed_files(self) -> Iterator[tuple[str | None, Labels, str | None]]:
        """Yield path, labels and split of every row of a table of paths."""
        for batch in self.batches():
            yield from zip(
                batch.column(self.columns.path).to_pylist(), self._labels(batch), self._splits(batch), strict=True
            )

    def _labels(self, batch: pa.RecordBatch) -> list[Labels]:
        if self.columns.label is None:
            return [UNLABELLED] * batch.num_rows
        values = batch.column(self.columns.label).to_pylist()
        return [as_labels(map(self._name, value if isinstance(value, list) else [value])) for value in values]

    def _name(self, value: object) -> str | None:
        if isinstance(value, float):  # pandas turns whole numbers into floats when one is missing
            if not value.is_integer():
                return None
            value = int(value)
        names = self.columns.label_names
        if not names or not isinstance(value, int):
            return as_label(value)
        return as_label(names[value]) if 0 <= value < len(names) else None  # Hugging Face writes -1 for no label

    def _splits(self, batch: pa.RecordBatch) -> list[str | None]:
        if self.columns.split is None:
            return [None] * batch.num_rows
        return [as_split(value) for value in batch.column(self.columns.split).to_pylist()]


def image_bytes(column: pa.Array) -> pa.Array:
    """Return the binary values of a column of images."""
    import pyarrow.compute as pc

    values = pc.struct_field(column, "bytes") if pa.types.is_struct(column.type) else column
    return values.cast(pa.large_binary()) if pa.types.is_binary_view(values.type) else values
