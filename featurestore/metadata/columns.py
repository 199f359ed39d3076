"""Columns of the user for the items, from a file."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa

from featurestore.catalog.schema import RESERVED
from featurestore.errors import SourceError
from featurestore.metadata.matching import find_items
from featurestore.sources.column_types import NATURAL, as_type, holds, reads_as, storable, words
from featurestore.sources.keyed_table import (
    KEYS,
    KeyedTable,
    batches,
    choose_key,
    headings,
    is_parquet,
    read_rows,
    readable,
)
from featurestore.storage import Storage
from featurestore.system.text import UNPRINTABLE

UNKNOWN_SHOWN = 20


@dataclass(frozen=True, slots=True)
class AnnotateReport:
    """The result of `annotate`."""

    columns: tuple[str, ...]
    items: int  # that got values from the file
    unknown: int  # keys of the file that no item has
    first_unknown: tuple[str, ...]  # some of them, in the order of the file
    key: str  # what these are: "path" or "id"


def annotate(store: Storage, file: str | Path, key: str | None = None) -> AnnotateReport:
    """Make the columns of a CSV or Parquet file columns of `items`, for `where` and `sql`; items without a row in it keep their values.

    key: the column that says which items the rows are about, path (as in `label`) or id. Types are those of Parquet, or the
    narrowest that all values of a CSV column have. A missing value, and NaN, removes the item's value. Raises SourceError when the
    file cannot be read, no row is about an item, or a column is ours, nested, or of another type than the items have.
    """
    with store.writing():
        columns = store.catalog.columns
        table = read_columns(Path(file), key, columns.all())
        matched = find_items(store.catalog, table)
        if not matched.items.rows:  # only a heading, which says nothing about types
            return AnnotateReport((), 0, 0, (), table.key)
        columns.set_values(table.names, matched.items)
    first = tuple(matched.unknown[:UNKNOWN_SHOWN].to_pylist())
    return AnnotateReport(table.names, matched.items.rows, len(matched.unknown), first, table.key)


def drop_column(store: Storage, name: str) -> None:
    """Remove a column that `annotate` added. Raises QueryError when there is none of that name."""
    with store.writing():
        store.catalog.columns.drop(name)


def read_columns(file: Path, key: str | None, held: Mapping[str, pa.DataType]) -> KeyedTable:
    """Read the rows of a file; a column that the items have already keeps its type."""
    with readable(file, "with the column path or id, and others"):
        schema = headings(file)
        key = _key_of(file, schema.names, key)
        columns = pa.schema([field for field in schema if field.name not in KEYS])
        check_names(file, columns.names)
        if not columns.names:
            raise SourceError(f"{file}: expected columns beside {key}, found none")
        types = settle_types(file, columns, held)
        given = read_rows(file, key, types, lambda name, values: as_type(values, types[name]))
    spelled = {name.lower(): name for name in held}
    return replace(given, names=tuple(spelled.get(name.lower(), name) for name in given.names))


def _key_of(file: Path, names: list[str], wanted: str | None) -> str:
    if wanted is None and set(KEYS) <= set(names):
        raise SourceError(
            f"{file}: has a column path and a column id; choose with --key which one identifies the items"
        )
    key = choose_key(names, wanted)
    if key is None:
        raise SourceError(
            f"{file}: expected a column {wanted or 'path or id'}, which says which items the rows are about; found {', '.join(map(repr, names)) or 'none'}"
        )
    if names.count(key) > 1:
        raise SourceError(f"{file}: column {key!r} occurs twice; leave one out, or rename it")
    return key


def settle_types(file: Path, schema: pa.Schema, held: Mapping[str, pa.DataType]) -> dict[str, pa.DataType]:
    """Choose the type of each column; reads all values where the file itself does not say the type."""
    known = {name.lower(): kind for name, kind in held.items()}
    possible = {field.name: _candidates(file, field, known.get(field.name.lower())) for field in schema}
    open_ones = [name for name, kinds in possible.items() if len(kinds) > 1]
    seen = set()
    for batch in batches(file, open_ones) if open_ones else ():
        for name, values in zip(open_ones, batch.columns, strict=True):
            if values.null_count < len(values):
                seen.add(name)
                possible[name] = [kind for kind in possible[name] if _fits(file, values, kind)]
    types = {}
    for name, kinds in possible.items():
        own = known.get(name.lower())
        if own is not None and own not in kinds:
            raise SourceError(
                f"{file}: column {name!r}: expected {words(own)} ({own}), as the items have there, found {words(kinds[0])} ({kinds[0]}); "
                f"change the file, or remove the column first: featurestore annotate STORE --drop {shlex.quote(name)}"
            )
        types[name] = own or (kinds[0] if name in seen or len(kinds) == 1 else pa.string())
    return types


def _candidates(file: Path, field: pa.Field, own: pa.DataType | None) -> list[pa.DataType]:
    kind = storable(field.type)
    if kind is None:
        raise SourceError(
            f"{file}: column {field.name!r} holds {field.type}; expected numbers, text, booleans, dates or timestamps: leave it out, or split it into several columns"
        )
    natural = [kind] if is_parquet(file) else NATURAL
    return list(dict.fromkeys([*([own] if own is not None else []), *natural]))


def _fits(file: Path, values: pa.Array, kind: pa.DataType) -> bool:
    return holds(kind, values) if is_parquet(file) else reads_as(values, kind)


def check_names(file: Path, names: Sequence[str]) -> None:
    """Raise SourceError unless the columns of a file can be columns of items."""
    seen = set()
    for name in names:
        folded = name.lower()  # DuckDB ignores the case of names
        if not name or UNPRINTABLE.search(name):
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
