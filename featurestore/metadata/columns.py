"""Columns of the user for the items, from a file."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from featurestore.catalog.schema import RESERVED
from featurestore.errors import SourceError
from featurestore.metadata.matching import find_items, unknown_note
from featurestore.sources.column_types import NATURAL, as_type, holds, reads_as, storable, words
from featurestore.sources.keyed_table import KEYS, Key, KeyedTable, find_keys, read_rows
from featurestore.sources.user_table import UserTable, open_table, readable
from featurestore.storage import Storage
from featurestore.system.text import CONTROL, as_argument

UNKNOWN_SHOWN = 20


@dataclass(frozen=True, slots=True)
class AnnotateReport:
    """The result of `annotate`."""

    columns: tuple[str, ...]
    items: int  # that got values from the file
    unknown: int  # keys of the file that no item has
    first_unknown: tuple[str, ...]  # some of them, in the order of the file
    key: str  # what these are: "path" or "id"
    notes: tuple[str, ...] = ()  # how the file was read, where that is not plain

    def remarks(self) -> list[str]:
        """Say how the file was read, and which rows are about no item."""
        return [*unknown_note(self.key, self.first_unknown, self.unknown), *self.notes]


def annotate(
    store: Storage, file: str | Path, key: str | None = None, path_column: str | None = None
) -> AnnotateReport:
    """Make the columns of a CSV, JSON Lines or Parquet file columns of `items`, for `where` and `sql`; items without a row in it keep their values.

    key: what says which items the rows are about, path (as in `label`) or id; path_column: the column of paths, when it has no usual
    name. Types are those of Parquet or JSON, or the narrowest that all values of a CSV column have. A missing value, and NaN, removes
    the item's value. Raises SourceError when the file cannot be read, no row is about an item, or a column is ours, nested, or of
    another type than the items have.
    """
    with store.writing():
        columns = store.catalog.columns
        table = read_columns(Path(file), key, columns.all(), path_column)
        matched = find_items(store.catalog, table)
        columns.set_values(table.names, matched.items)
    first = tuple(matched.unknown[:UNKNOWN_SHOWN].to_pylist())
    return AnnotateReport(
        table.names, matched.items.rows, len(matched.unknown), first, table.key, (*table.notes, *matched.notes)
    )


def drop_column(store: Storage, name: str) -> None:
    """Remove a column that `annotate` added. Raises QueryError when there is none of that name."""
    with store.writing():
        store.catalog.columns.drop(name)


def read_columns(
    file: Path, key: str | None, held: Mapping[str, pa.DataType], path_column: str | None = None
) -> KeyedTable:
    """Read the rows of a file; a column that the items have already keeps its type."""
    with readable(file, "with the column path or id, and others"):
        table = open_table(file)
        if not table.has_heading:
            raise SourceError(f"{file}: expected the names of its columns in the first row, found values; name them")
        chosen = _key_of(table, key, path_column)
        columns = pa.schema(
            [field for field in _without_row_numbers(table.schema) if field.name not in (chosen.column, *KEYS)]
        )
        check_names(file, columns.names)
        if not columns.names:
            raise SourceError(f"{file}: expected columns beside {chosen.column}, found none")
        types = settle_types(table, columns, held)
        given = read_rows(table, chosen, types, lambda name, values: as_type(values, types[name]))
    spelled = {name.lower(): name for name in held}
    notes = [f"paths: column {chosen.column}"] if chosen.column.casefold() not in KEYS else []
    return replace(
        given, names=tuple(spelled.get(name.lower(), name) for name in given.names), notes=(*given.notes, *notes)
    )


def _key_of(table: UserTable, wanted: str | None, path_column: str | None) -> Key:
    file, names = table.path, table.schema.names
    keys = find_keys(str(file), names, wanted, path_column)
    if len(keys) > 1:
        raise SourceError(
            f"{file}: has a column {keys[0].column} and a column {keys[1].column}; choose with --key which one identifies the items"
        )
    if not keys:
        raise SourceError(
            f"{file}: expected a column {wanted or 'path or id'}, which says which items the rows are about; found {', '.join(map(repr, names)) or 'none'}; "
            "choose another with --path-column"
        )
    return keys[0]


def _without_row_numbers(schema: pa.Schema) -> pa.Schema:
    """Leave out the first column when it is the unnamed one in which pandas writes row numbers."""
    is_unnamed = bool(len(schema)) and (
        schema.names[0] in ("", "__index_level_0__") or schema.names[0].startswith("Unnamed: ")
    )
    return schema.remove(0) if is_unnamed else schema


def settle_types(table: UserTable, schema: pa.Schema, held: Mapping[str, pa.DataType]) -> dict[str, pa.DataType]:
    """Choose the type of each column; reads all values where the file itself does not say the type."""
    known = {name.lower(): kind for name, kind in held.items()}
    possible = {field.name: _candidates(table, field, known.get(field.name.lower())) for field in schema}
    open_ones = [name for name, kinds in possible.items() if len(kinds) > 1]
    seen = set()
    for batch in table.batches(open_ones) if open_ones else ():
        for name, values in zip(open_ones, batch.columns, strict=True):
            if values.null_count < len(values):
                seen.add(name)
                possible[name] = [kind for kind in possible[name] if _fits(table, values, kind)]
    types = {}
    for name, kinds in possible.items():
        own = known.get(name.lower())
        if own is not None and own not in kinds:
            raise SourceError(
                f"{table.path}: column {name!r}: expected {words(own)} ({own}), as the items have there, found {words(kinds[0])} ({kinds[0]}); "
                f"change the file, or remove the column first: featurestore annotate STORE --drop {as_argument(name)}"
            )
        types[name] = own or (kinds[0] if name in seen or len(kinds) == 1 else pa.string())
    return types


def _candidates(table: UserTable, field: pa.Field, own: pa.DataType | None) -> list[pa.DataType]:
    kind = storable(field.type)
    if kind is None:
        raise SourceError(
            f"{table.path}: column {field.name!r} holds {field.type}; expected numbers, text, booleans, dates or timestamps: leave it out, or split it into several columns"
        )
    natural = [kind] if table.is_typed else NATURAL
    return list(dict.fromkeys([*([own] if own is not None else []), *natural]))


def _fits(table: UserTable, values: pa.Array, kind: pa.DataType) -> bool:
    return holds(kind, values) if table.is_typed else reads_as(values, kind)


def check_names(file: Path, names: Sequence[str]) -> None:
    """Raise SourceError unless the columns of a file can be columns of items."""
    seen = set()
    for name in names:
        folded = name.lower()  # DuckDB ignores the case of names
        if not name or CONTROL.search(name):
            raise SourceError(
                f"{file}: column {name!r}: expected a name without control characters; name it, or leave it out"
            )
        if folded in seen:
            raise SourceError(f"{file}: column {name!r} occurs twice; leave one out, or rename it")
        seen.add(folded)
        if folded in ("label", "split"):
            raise SourceError(
                f"{file}: column {name!r}: labels and splits are set by another command: featurestore label STORE FILE"
            )
        if folded in RESERVED:
            raise SourceError(
                f"{file}: column {name!r} is one of featurestore's own columns; leave it out, or rename it"
            )
