"""Tables in which users write about items, by path or id: a table in, rows on disk out."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa

from featurestore.errors import ConfigError, SourceError
from featurestore.sources.column_names import PATH, Role, choose
from featurestore.sources.column_types import is_text
from featurestore.sources.user_table import UserTable
from featurestore.system.spool import Spool

KEYS = {"path": pa.string(), "id": pa.int64()}
ID = Role("id")
Convert = Callable[[str, pa.Array], pa.Array]  # of a column's name and some of its values


@dataclass(frozen=True, slots=True)
class Key:
    """What says which item a row is about."""

    kind: str  # "path" or "id"
    column: str


@dataclass(frozen=True)
class KeyedTable:
    """The rows of a file, each about the item that its key names."""

    path: Path
    key: str  # "path" or "id"
    names: tuple[str, ...]  # of the other columns
    rows: Spool  # the number of the row, the key, then the values
    notes: tuple[str, ...] = ()  # what was assumed about the file


def find_keys(file: str, names: Sequence[str], wanted: str | None, path_column: str | None = None) -> list[Key]:
    """Find the columns that can say which items the rows are about: paths, then ids, or only the wanted of these.

    Raises ConfigError when `wanted` is neither path nor id, SourceError when several columns may hold paths.
    """
    if wanted not in (None, *KEYS):
        raise ConfigError(f"key {wanted!r}: expected path or id")
    if wanted == "id" and path_column is not None:
        raise ConfigError("--key id and --path-column: expected one of them, since paths are not used with --key id")
    id_column = choose(file, names, ID) if wanted != "path" and path_column is None else None
    path = choose(file, names, PATH, path_column) if wanted != "id" else None
    return [Key(kind, column) for kind, column in (("path", path), ("id", id_column)) if column is not None]


def read_rows(table: UserTable, key: Key, types: Mapping[str, pa.DataType], convert: Convert) -> KeyedTable:
    """Read the key and some columns into rows on disk, with values as `convert` returns them. Raises SourceError when there are no rows."""
    values = [(f"value{place}", kind) for place, kind in enumerate(types.values())]
    rows = Spool(pa.schema([("place", pa.int64()), ("key", KEYS[key.kind]), *values]))
    for batch in table.batches([key.column, *types]):
        keys, *columns = batch.columns
        place = pa.array(np.arange(rows.rows, rows.rows + len(batch)))
        converted = [convert(name, column) for name, column in zip(types, columns, strict=True)]
        rows.add_batch(pa.record_batch([place, _as_key(keys, key), *converted], schema=rows.schema))
    if not rows.rows:
        raise SourceError(
            f"{table.path}: expected rows below the names of its columns, found none; nothing was changed"
        )
    return KeyedTable(table.path, key.kind, tuple(types), rows, table.notes)


def _as_key(values: pa.Array, key: Key) -> pa.Array:
    expected = f"column {key.column}: expected {'text' if key.kind == 'path' else 'whole numbers'}, found"
    kind = values.type.value_type if pa.types.is_dictionary(values.type) else values.type
    if not is_text(kind) and not (key.kind == "id" and pa.types.is_integer(kind)):
        raise pa.ArrowInvalid(f"{expected} {kind}")
    try:
        return values.cast(KEYS[key.kind])
    except pa.ArrowInvalid as error:
        raise pa.ArrowInvalid(f"{expected} another value: {error}") from error
