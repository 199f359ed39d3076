"""Tables of users whose rows are about items, by path or id: CSV or Parquet in, rows on disk out, and the items they are about."""

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
BATCH_ROWS, BLOCK_BYTES = 65_536, 8 << 20  # of Parquet, of CSV: read at a time
Convert = Callable[[str, pa.Array], pa.Array]  # the name of a column, and some of its values as the file has them


@dataclass(frozen=True)
class KeyedFile:
    """The rows of a file that are about items."""

    path: Path
    key: str  # "path" or "id"
    names: tuple[str, ...]  # of the columns beside it
    rows: Spool  # their place, the key, then the values


def is_parquet(path: Path) -> bool:
    """Whether a file is to be read as Parquet, by its name; any other is CSV, whose values are all text."""
    return path.suffix.lower() in (".parquet", ".pq")


def headings(path: Path) -> pa.Schema:
    """The columns of a file, with their types."""
    if is_parquet(path):
        import pyarrow.parquet as pq  # takes long, and most commands do without

        return pq.read_schema(path)
    with path.open(newline="", encoding="utf-8-sig") as handle:
        return pa.schema([(name, pa.string()) for name in next(csv.reader(handle), [])])


def choose_key(names: Sequence[str], wanted: str | None) -> str | None:
    """The column that says which items the rows are about: the wanted one, else path or id; None when it is not there.

    Raises ConfigError when something else is wanted.
    """
    if wanted is not None and wanted not in KEYS:
        raise ConfigError(f"key {wanted!r}: expected path or id")
    return next((key for key in KEYS if key in names and wanted in (None, key)), None)


def batches(path: Path, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """Give all rows of some columns, in order; of CSV as text, and as null where there is none."""
    if is_parquet(path):
        import pyarrow.parquet as pq

        with pq.ParquetFile(path) as source:
            for batch in source.iter_batches(BATCH_ROWS, columns=list(names)):
                batch.validate(full=True)  # else text that is no UTF-8 goes through
                yield batch.select(names)
        return
    import pyarrow.csv as pc

    header = headings(path).names
    places = [str(header.index(name)) for name in names]  # names of others may occur twice
    with path.open("rb") as file:
        file.readline()
        if file.peek(1):
            numbered = [str(place) for place in range(len(header))]
            with (
                pc.open_csv(  # on this thread and closed: threads of its own may outlive it, and end the program with SIGABRT
                    file,
                    pc.ReadOptions(column_names=numbered, block_size=BLOCK_BYTES, use_threads=False),
                    pc.ParseOptions(newlines_in_values=True),
                    pc.ConvertOptions(
                        column_types=dict.fromkeys(places, pa.string()),
                        include_columns=places,
                        strings_can_be_null=True,
                        null_values=[""],
                    ),
                ) as reader
            ):
                yield from reader


def read_rows(path: Path, key: str, types: Mapping[str, pa.DataType], convert: Convert) -> KeyedFile:
    """Read the key and some columns into rows on disk, as the types that `convert` gives them."""
    values = [(f"value{place}", kind) for place, kind in enumerate(types.values())]
    rows = Spool(pa.schema([("place", pa.int64()), ("key", KEYS[key]), *values]))
    for batch in batches(path, [key, *types]):
        keys, *columns = batch.columns
        place = pa.array(np.arange(rows.rows, rows.rows + len(batch)))
        converted = [convert(name, column) for name, column in zip(types, columns, strict=True)]
        rows.add_batch(pa.record_batch([place, _as_key(keys, key), *converted], schema=rows.schema))
    return KeyedFile(path, key, tuple(types), rows)


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
    """Turn whatever the reading of a file raises into SourceError that says what was expected of it."""
    try:
        yield
    except (OSError, UnicodeDecodeError, csv.Error, pa.ArrowException) as error:
        kind = "Parquet" if is_parquet(path) else "CSV"
        raise SourceError(f"{str(path)!r}: expected a {kind} file {expected}; {first_line(error)}") from error
