"""A table of paths and vectors, made by `export_vectors` or elsewhere: Parquet, or a .npy with a list of paths."""

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from featurestore.catalog.records import DETAILS
from featurestore.catalog.schema import QUALITY
from featurestore.errors import SourceError
from featurestore.ingest.footer_checksum import is_footer_damaged
from featurestore.sources.column_names import PATH
from featurestore.sources.filesystem import is_url
from featurestore.sources.lists import numbered_lines
from featurestore.sources.relative_paths import locate
from featurestore.sources.row_count import all_rows
from featurestore.sources.unpacking import parquet_too_large
from featurestore.system.text import describe_error, printable
from featurestore.system.user_file import refuse_pipe

KEY = b"featurestore"  # of the schema's metadata
VERSION = 1
VECTORS = ("vector", "embedding", "embeddings", "feature", "features", "vectors")
CONTENT = ("sha256", "bytes", "mtime_ns")  # of an item's file; without them the files are read


@dataclass(frozen=True, slots=True)
class Origin:
    """Which encoder made the vectors of a file of `export_vectors`, and which columns of a user it has."""

    fingerprint: str
    name: str
    columns: tuple[str, ...]  # the user's


@dataclass(frozen=True, slots=True)
class VectorTable:
    """An opened table."""

    file: Path
    schema: pa.Schema
    rows: int
    origin: Origin | None  # None: another program made it
    path: str  # the column of paths
    vector: str  # the column of vectors
    read: Callable[[list[str], int], Iterator[pa.RecordBatch]]  # of some columns, in batches of so many rows

    @property
    def has_content(self) -> bool:
        """Whether it says what is in the files, so that these are not read."""
        return set(CONTENT) <= set(self.schema.names)

    @property
    def details(self) -> list[str]:
        """The columns that hold what we keep of an item. What other programs call brightness is something else."""
        left_out = ("id", "path", *CONTENT, *(QUALITY if self.origin is None else ()))
        return [name for name in DETAILS.names if name not in left_out and name in self.schema.names] + (
            list(CONTENT) if self.has_content else []
        )

    def item_paths(self, column: pa.Array) -> list[str]:
        """Give the paths of items. Those of other programs may be relative, to the table's folder or the current one."""
        paths = [path or "" for path in column.cast(pa.string()).to_pylist()]
        keeps = _is_item_path if self.has_content else lambda path: False
        return [path if keeps(path) else _absolute(path, self.file.parent) for path in paths]


def open_table(file: Path, paths: Path | None = None) -> VectorTable:
    """Open a Parquet file, or a .npy of vectors (N, D) with the file of their paths, one a line. Raises SourceError."""
    if file.suffix.lower() == ".npy":
        return _open_array(file, paths)
    if paths is not None:
        raise SourceError(f"{file}: a list of paths goes with vectors in a .npy; a Parquet file has a column of paths")
    import pyarrow.parquet as pq

    try:
        refuse_pipe(file)
        source = pq.ParquetFile(file, memory_map=True, page_checksum_verification=True)
        with file.open("rb") as opened:
            damaged = is_footer_damaged(opened)
    except (OSError, UnicodeDecodeError, pa.ArrowException) as error:
        raise SourceError(f"{file}: expected a Parquet file of vectors, or a .npy; {describe_error(error)}") from error
    if damaged:
        raise SourceError(f"{file}: its footer is damaged: the checksum does not match; export the vectors again")
    if found := parquet_too_large(file.stat().st_size, source.metadata):
        raise SourceError(f"{file}: expected a Parquet file of vectors; found {found}")
    schema = source.schema_arrow
    path, vector = _choose(file, schema)
    count = source.metadata.num_rows
    read = lambda columns, rows: all_rows(source.iter_batches(rows, columns=columns), count)  # noqa: E731
    return VectorTable(file, schema, count, _origin(file, schema), path, vector, read)


def _open_array(file: Path, paths: Path | None) -> VectorTable:
    if paths is None:
        raise SourceError(
            f"{file}: expected the paths of the vectors too, one a line in the same order: --paths FILE.txt"
        )
    try:
        refuse_pipe(file)
        refuse_pipe(paths)
        array = np.load(file, mmap_mode="r", allow_pickle=False)
        lines = [line for _, line in numbered_lines(paths.read_bytes())]
    except (OSError, ValueError, EOFError) as error:
        raise SourceError(f"{file} with {paths}: expected a .npy and a text file; {describe_error(error)}") from error
    if array.ndim != 2 or array.dtype.kind != "f" or len(array) != len(lines):
        raise SourceError(
            f"{file}: expected vectors (N, D) of floats for the {len(lines)} paths of {paths}; found {array.dtype} of the shape {array.shape}"
        )
    schema = pa.schema([("path", pa.string()), ("vector", pa.list_(pa.float32(), array.shape[1]))])

    def read(columns: list[str], rows: int) -> Iterator[pa.RecordBatch]:
        for start in range(0, len(lines), rows):
            part = np.asarray(array[start : start + rows], np.float32)
            vectors = pa.FixedSizeListArray.from_arrays(part.ravel(), array.shape[1])
            yield pa.record_batch([pa.array(lines[start : start + rows]), vectors], schema=schema).select(columns)

    return VectorTable(file, schema, len(lines), None, "path", "vector", read)


def _choose(file: Path, schema: pa.Schema) -> tuple[str, str]:
    """Choose the columns of paths and of vectors, by name and type."""
    texts = [f.name for f in schema if pa.types.is_string(f.type) or pa.types.is_large_string(f.type)]
    lists = [field.name for field in schema if _holds_floats(field.type)]
    path = next((name for name in (PATH.own, *PATH.others) if name in texts), None)
    vector = next((name for name in VECTORS if name in lists), lists[0] if len(lists) == 1 else None)
    if path is None or vector is None:
        found = ", ".join(f"{field.name} ({field.type})" for field in schema) or "none"
        raise SourceError(
            f"{file}: expected a text column of paths named {', '.join((PATH.own, *PATH.others))}, and vectors as lists of floats in a column named "
            f"{', '.join(VECTORS)}; found the columns {found}; rename one of them"
        )
    return path, vector


def _holds_floats(kind: pa.DataType) -> bool:
    lists = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    return bool(lists and pa.types.is_floating(kind.value_type))


def _origin(file: Path, schema: pa.Schema) -> Origin | None:
    """Read what `export_vectors` said of the encoder; None when it did not write the file, or another program wrote it again."""
    written = (schema.metadata or {}).get(KEY)
    if written is None:
        return None
    try:
        said = json.loads(written)
        version, fingerprint, name = int(said["version"]), str(said["fingerprint"]), printable(str(said["name"]))
        columns = tuple(map(str, said.get("columns", ())))
    except (KeyError, ValueError, TypeError, RecursionError) as error:
        raise SourceError(
            f"{file}: expected a Parquet file of export-vectors; found damaged metadata: {error}"
        ) from error
    if version > VERSION:
        raise SourceError(f"{file}: written by a newer featurestore (version {version}); upgrade featurestore")
    return Origin(fingerprint, name, columns)


def _is_item_path(path: str) -> bool:
    """Whether a path is written as those of items are: absolute and without detours, or a URL."""
    return is_url(path) or (os.path.isabs(path) and os.path.normpath(path) == path)


def _absolute(path: str, folder: Path) -> str:
    """Write a path as `index` does: absolute, with the symbolic links of its folder followed."""
    if not path or is_url(path):
        return path
    parent, name = os.path.split(locate(path, folder))
    return os.path.join(os.path.realpath(parent), name)
