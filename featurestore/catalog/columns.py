"""The columns that users gave to the items, beside ours."""

from collections.abc import Sequence

import pyarrow as pa

from featurestore.catalog.connection import Connection
from featurestore.catalog.schema import ITEMS, OWN
from featurestore.errors import QueryError


def quoted_name(name: str) -> str:
    """The name of a column as SQL writes it."""
    return '"' + name.replace('"', '""') + '"'


def user_columns(connection: Connection) -> dict[str, pa.DataType]:
    """The user's columns by name, in the order in which they came."""
    schema = connection.sql("SELECT * FROM all_items LIMIT 0").to_arrow_table().schema
    return {field.name: _in_utc(field.type) for field in schema if field.name not in OWN}


def _in_utc(kind: pa.DataType) -> pa.DataType:
    """A type that does not depend on where the program runs."""
    return pa.timestamp(kind.unit, "UTC") if pa.types.is_timestamp(kind) and kind.tz is not None else kind


def add_columns(connection: Connection, columns: pa.Schema) -> None:
    """Give the items those of some columns that they do not have, without values."""
    held = {name.lower() for name in [*OWN, *user_columns(connection)]}
    new = [name for name in columns.names if name.lower() not in held]
    if not new:
        return
    connection.register("sample", columns.empty_table())
    types = {row[0]: row[1] for row in connection.execute("DESCRIBE sample").fetchall()}
    for name in new:
        connection.execute(f"ALTER TABLE all_items ADD COLUMN {quoted_name(name)} {types[name]}")
    connection.execute(ITEMS)


def drop_column(connection: Connection, name: str) -> None:
    """Take a column of the user away, with its values. Raises QueryError when there is none of that name."""
    held = user_columns(connection)
    found = {one.lower(): one for one in held}.get(name.lower())
    if found is None:
        raise QueryError(
            f"column {name!r}: expected one that was given by annotate; the store has {', '.join(map(repr, held)) or 'none'}"
        )
    connection.execute(f"ALTER TABLE all_items DROP COLUMN {quoted_name(found)}")
    connection.execute(ITEMS)


def set_values(connection: Connection, names: Sequence[str], rows: pa.Table | pa.RecordBatchReader) -> None:
    """Set columns of items, and leave those of others: rows hold the id and a value for each of the names, and no id twice."""
    fields = rows.schema.names[1:]
    connection.register("given", rows)
    values = ", ".join(
        f"{quoted_name(name)} = given.{quoted_name(field)}" for name, field in zip(names, fields, strict=True)
    )
    connection.execute(f"UPDATE all_items SET {values} FROM given WHERE all_items.id = given.id")
