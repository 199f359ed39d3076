"""Tables of images: their entries, and the image of one row."""

import os
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import pyarrow as pa

from featurestore.errors import ImageError
from featurestore.sources.base import UNLABELLED, Failure, ImageFile, Labels, as_label, as_labels, as_split
from featurestore.sources.column_names import ColumnNames
from featurestore.sources.filesystem import check_size
from featurestore.sources.lists import ListedFile
from featurestore.sources.local_files import FileState
from featurestore.sources.relative_paths import locate
from featurestore.sources.table_columns import TableColumns, choose_columns, image_column

LONGEST_LABEL, LONGEST_PATH = 1_000, 1 << 15  # characters of values that are read
CACHED_BYTES = 128 << 20  # of rows that were read, once for all parquet files, once for all Arrow files


class TableFile(ABC):
    """A table with a column of images, or of their paths."""

    def __init__(self, path: str, state: FileState, schema: pa.Schema, count: int, features: Mapping[str, Any]) -> None:
        self.path, self.state, self.schema, self.count = path, state, schema, count
        if state.size and count > state.size:
            raise ImageError(f"damaged: {count:,} rows cannot be in {state.size:,} bytes")
        self.image_column = image_column(schema)
        self._features = features

    def choose(self, named: ColumnNames) -> TableColumns:
        """Choose the columns to read. Raises SourceError as `choose_columns` does."""
        return choose_columns(self.path, self.schema, self._features, named)

    @property
    def weight(self) -> int:
        return 25_000  # so that at most twenty are open

    @abstractmethod
    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield all rows in order, in batches of bounded size, with these columns at least."""

    @abstractmethod
    def image(self, row: int) -> bytes | None:
        """Return the image of one row, None when it is null; thread-safe."""

    def lists_files(self, named: ColumnNames) -> bool:
        """Return whether its rows name files, and hold no images."""
        return self.choose(named).image is None

    def entries(self, named: ColumnNames) -> Iterator[ImageFile | Failure]:
        """Yield the images of all rows."""
        return self._images(self.choose(named))

    def listed_files(self, named: ColumnNames) -> Iterator[ListedFile]:
        """Yield the file that each row names, relative to the folder of the table or to the current one, with its labels and split."""
        columns, folder = self.choose(named), os.path.dirname(self.path)
        for batch in self.batches(columns.used()):
            paths = _short(batch.column(columns.path), LONGEST_PATH).to_pylist()
            for path, labels, split in zip(paths, _labels(batch, columns), _splits(batch, columns), strict=True):
                yield ListedFile(path and locate(path, folder), labels, split)

    def labelled_by(self, named: ColumnNames) -> str:
        """Return in words what gives labels; nothing when only folders may."""
        label = self.choose(named).label
        return f"column {label}" if label is not None else ""

    def _images(self, columns: TableColumns) -> Iterator[ImageFile | Failure]:
        import pyarrow.compute as pc  # slow to import, and most commands do without

        row = 0
        for batch in self.batches(columns.used()):
            sizes = pc.binary_length(image_bytes(batch.column(columns.image))).to_pylist()
            for size, (label, labels), split in zip(
                sizes, _labels(batch, columns), _splits(batch, columns), strict=True
            ):
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
        if self.image_column is None:
            raise ImageError("its table holds no images")
        data = self.image(int(member))
        if data is None:
            raise ImageError("the row has no image")
        check_size(len(data))
        return data


def _labels(batch: pa.RecordBatch, columns: TableColumns) -> list[Labels]:
    if columns.label is None:
        return [UNLABELLED] * batch.num_rows
    values = _short(batch.column(columns.label), LONGEST_LABEL).to_pylist()
    name = partial(_name, names=columns.label_names)
    return [as_labels(map(name, value if isinstance(value, list) else [value])) for value in values]


def _name(value: object, names: tuple[str, ...]) -> str | None:
    if isinstance(value, float):  # pandas turns whole numbers into floats when one is missing
        if not value.is_integer():
            return None
        value = int(value)
    if not names or not isinstance(value, int):
        return as_label(value)
    return as_label(names[value]) if 0 <= value < len(names) else None  # Hugging Face writes -1 for no label


def _splits(batch: pa.RecordBatch, columns: TableColumns) -> list[str | None]:
    if columns.split is None:
        return [None] * batch.num_rows
    return [as_split(value) for value in _short(batch.column(columns.split), LONGEST_LABEL).to_pylist()]


def _short(values: pa.Array, longest: int) -> pa.Array:
    """Return texts without those that are too long: a table can repeat one as often as it likes."""
    import pyarrow.compute as pc

    if pa.types.is_dictionary(values.type):
        return pa.DictionaryArray.from_arrays(values.indices, _short(values.dictionary, longest))
    if not (pa.types.is_string(values.type) or pa.types.is_large_string(values.type)):
        return values
    return pc.if_else(pc.greater(pc.binary_length(values), longest), pa.scalar(None, values.type), values)


def image_bytes(column: pa.Array) -> pa.Array:
    """Return the binary values of a column of images."""
    import pyarrow.compute as pc

    values = pc.struct_field(column, "bytes") if pa.types.is_struct(column.type) else column
    return values.cast(pa.large_binary()) if pa.types.is_binary_view(values.type) else values
