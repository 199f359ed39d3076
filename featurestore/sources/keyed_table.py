"""Tables in which users write about items, by path or id: CSV or Parquet in, rows on disk out."""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from featurestore.errors import ConfigError, SourceError
from featurestore.sources.column_types import is_text
from featurestore.system.spool import Spool
from featurestore.system.text import first_line

KEYS = {"path": pa.string(), "id": pa.int64()}
BATCH_ROWS, BLOCK_BYTES = 65_536, 8 << 20  # read at a time from Parquet, from CSV
Convert = Callable[[str, pa.Array], pa.Array]  # of a column's name and some of its values


@dataclass(frozen=True)
class KeyedTable:
    """The rows of a CSV or Parquet file, each about the item that its key names."""

    path: Path
    key: str  # "path" or "id"
    names: tuple[str, ...]  # of the other columns
    rows: Spool  # the number of the row, the key, then the values


def is_parquet(path: Path) -> bool:
    """Return whether a file is read as Parquet, by its name; any other is CSV, whose values are all text."""
    return path.suffix.lower() in (".parquet", ".pq")


def headings(path: Path) -> pa.Schema:
    """Return the columns of a file with their types."""
    if is_parquet(path):
        import pyarrow.parquet as pq  # slow to import, and most commands do without

        return pq.read_schema(path)
    with path.open(newline="", encoding="utf-8-sig") as handle:
        return pa.schema([(name, pa.string()) for name in next(csv.reader(handle), [])])


def choose_key(names: Sequence[str], wanted: str | None) -> str | None:
    """Choose the column that names the items: the wanted one, else path or id; None when the file has no such column.

    Raises ConfigError when `wanted` is neither.
    """
    if wanted is not None and wanted not in KEYS:
        raise ConfigError(f"key {wanted!r}: expected path or id")
    return next((key for key in KEYS if key in names and wanted in (None, key)), None)


def batches(path: Path, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Yield all rows of some columns, in order; those of a CSV are text, or null where it is empty."""
    if is_parquet(path):
        import pyarrow.parquet as pq

        with pq.ParquetFile(path) as source:
            for batch in source.iter_batches(BATCH_ROWS, columns=list(names)):
                batch.validate(full=True)  # otherwise text that is not UTF-8 would pass
                yield batch.select(names)
        return
    import pyarrow.csv as pc

    header = headings(path).names
    places = [str(header.index(name)) for name in names]  # by number: names of other columns may occur twice
    with path.open("rb") as file:
        file.readline()
        if file.peek(1):
            numbered = [str(place) for place in range(len(header))]
            with pc.open_csv(  # one thread, closed here: threads that outlive the reader end the program with SIGABRT
                file,
                pc.ReadOptions(column_names=numbered, block_size=BLOCK_BYTES, use_threads=False),
                pc.ParseOptions(newlines_in_values=True),
                pc.ConvertOptions(
                    column_types=dict.fromkeys(places, pa.string()),
                    include_columns=places,
                    strings_can_be_null=True,
                    null_values=[""],
                ),
            ) as reader:
                yield from reader


def read_rows(path: Path, key: str, types: Mapping[str, pa.DataType], convert: Convert) -> KeyedTable:
    """Read the key and some columns into rows on disk, with values as `convert` returns them."""
    values = [(f"value{place}", kind) for place, kind in enumerate(types.values())]
    rows = Spool(pa.schema([("place", pa.int64()), ("key", KEYS[key]), *values]))
    for batch in batches(path, [key, *types]):
        keys, *columns = batch.columns
        place = pa.array(np.arange(rows.rows, rows.rows + len(batch)))
        converted = [convert(name, column) for name, column in zip(types, columns, strict=True)]
        rows.add_batch(pa.record_batch([place, _as_key(keys, key), *converted], schema=rows.schema))
    return KeyedTable(path, key, tuple(types), rows)


def _as_key(values: pa.Array, key: str) -> pa.Array:
    expected = f"column {key}: expected {'text' if key == 'path' else 'whole numbers'}, found"
    kind = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
    if not is_text(kind) and not (key == "id" and pa.types.is_integer(kind)):
        raise pa.ArrowInvalid(f"{expected} {kind}")
    try:
        return values.cast(KEYS[key])
    except pa.ArrowInvalid as error:
        raise pa.ArrowInvalid(f"{expected} another value: {error}") from error


@contextmanager
def readable(path: Path, expected: str) -> Iterator[None]:
    """Turn whatever reading a file raises into a SourceError that says what was expected."""
    try:
        yield
    except (OSError, UnicodeDecodeError, csv.Error, pa.ArrowException) as error:
        kind = "Parquet" if is_parquet(path) else "CSV"
        raise SourceError(f"{str(path)!r}: expected a {kind} file {expected}; {first_line(error)}") from error
