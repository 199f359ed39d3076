"""Tables that users write: CSV, JSON Lines or Parquet."""

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from featurestore.errors import SourceError
from featurestore.sources.csv_table import CsvTable
from featurestore.sources.jsonl_table import JsonlTable
from featurestore.sources.row_count import all_rows
from featurestore.sources.text_file import unpacked_suffix
from featurestore.sources.unpacking import parquet_too_large
from featurestore.system.text import describe_error, first_line
from featurestore.system.user_file import refuse_pipe

BATCH_ROWS = 65_536  # read at a time from Parquet
PARQUET, JSONL = (".parquet", ".pq"), (".jsonl", ".ndjson", ".json")
SPREADSHEETS = (".xlsx", ".xls", ".ods")


class UserTable(Protocol):
    """A table, opened."""

    kind: str  # "CSV", "JSONL" or "Parquet"
    is_typed: bool  # otherwise all values are text, or null where they are empty
    has_heading: bool
    path: Path
    schema: pa.Schema
    notes: tuple[str, ...]  # what was assumed about the file

    def batches(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]: ...


class ParquetRows:
    """A Parquet file."""

    kind = "Parquet"
    is_typed = has_heading = True
    notes: tuple[str, ...] = ()

    def __init__(self, path: Path) -> None:
        import pyarrow.parquet as pq  # slow to import, and most commands do without

        self.path = path
        with pq.ParquetFile(path) as source:
            self.schema = source.schema_arrow
            if found := parquet_too_large(path.stat().st_size, source.metadata):
                raise ValueError(found)

    def batches(self, names: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield all rows of some columns, in order."""
        import pyarrow.parquet as pq

        with pq.ParquetFile(self.path, page_checksum_verification=True) as source:
            for batch in all_rows(source.iter_batches(BATCH_ROWS, columns=list(names)), source.metadata.num_rows):
                batch.validate(full=True)  # otherwise text that is not UTF-8 would pass
                yield batch.select(names)


def open_table(path: Path) -> UserTable:
    """Open a table by its suffix: .parquet or .pq, .jsonl, .ndjson or .json; any other is CSV. Raises ValueError for a spreadsheet."""
    kind = _kind(path)
    if path.suffix.lower() in SPREADSHEETS:
        raise ValueError("found a spreadsheet; save it as CSV")
    return ParquetRows(path) if kind == "Parquet" else JsonlTable(path) if kind == "JSONL" else CsvTable(path)


@contextmanager
def readable(path: Path, expected: str) -> Iterator[None]:
    """Turn whatever reading a table raises into a SourceError that says what was expected."""
    try:
        if path.is_dir():
            raise IsADirectoryError
        refuse_pipe(path)
        yield
    except OSError as error:
        raise SourceError(
            f"{str(path)!r}: expected a {_kind(path)} file {expected}; {describe_error(error)}"
        ) from error
    except (ValueError, csv.Error, pa.ArrowException) as error:
        raise SourceError(f"{str(path)!r}: expected a {_kind(path)} file {expected}; {first_line(error)}") from error


def _kind(path: Path) -> str:
    suffix = unpacked_suffix(path)
    return "Parquet" if suffix in PARQUET else "JSONL" if suffix in JSONL else "CSV"
