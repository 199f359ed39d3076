"""Columns that users added to the items, beside ours."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurestore.catalog.connection import Database
from featurestore.catalog.engine import Connection, quoted_name
from featurestore.catalog.schema import ITEMS, OWN
from featurestore.errors import QueryError
from featurestore.system.spool import Spool


class UserColumns:
    """The user's columns of a catalog, and the values of items, labels and splits included."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def all(self) -> dict[str, pa.DataType]:
        """Read the user's columns with their types, in the order in which they were added."""
        with self._database.reading() as connection:
            return user_columns(connection)

    def numbers(self, name: str) -> tuple[NDArray[np.int64], NDArray[np.float64]] | None:
        """Read a column of the user as numbers: ids and values of the items that have one; None when there is no such column.

        Raises QueryError when it does not hold numbers.
        """
        with self._database.reading() as connection:
            columns = user_columns(connection)
            if name not in columns:
                return None
            kind = columns[name]
            if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
                raise QueryError(f"column {name!r}: expected numbers, found values of type {kind}")
            column = quoted_name(name)
            found = connection.sql(
                f"SELECT id, {column}::DOUBLE AS value FROM items WHERE {column} IS NOT NULL ORDER BY id"
            ).to_arrow_table()
            return found["id"].to_numpy(), found["value"].to_numpy()

    def set_values(self, names: Sequence[str], rows: Spool, everywhere: bool = False) -> None:
        """Set labels, splits or columns of the user; columns that do not exist are added.

        rows: the id of an item and a value for each name; no id occurs twice. everywhere: all other items lose their values.
        """
        with self._database.transaction() as connection:
            add_columns(connection, pa.schema(zip(names, rows.schema.types[1:], strict=True)))
            if everywhere:
                empty_columns(connection, names)
            set_values(connection, names, rows.reader())

    def measured(self, name: str, rows: Spool, everywhere: bool) -> int:
        """Set a column to what was measured on contents, of those items that still have them; returns their number.

        rows: the id of an item, the hash of its content and a value; no id occurs twice. everywhere: all other items lose their values.
        """
        with self._database.transaction() as connection:
            add_columns(connection, pa.schema([(name, rows.schema.types[2])]))
            if everywhere:
                empty_columns(connection, [name])
            connection.register("given", rows.reader())
            [(count,)] = connection.execute(
                f"""UPDATE all_items SET {quoted_name(name)} = given.{quoted_name(rows.schema.names[2])} FROM given
                    WHERE all_items.id = given.id AND all_items.sha256 = given.sha256 AND removed_at IS NULL"""
            ).fetchall()
            return int(count)

    def drop(self, name: str) -> None:
        """Remove a column of the user with its values. Raises QueryError when there is none of that name."""
        with self._database.transaction() as connection:
            columns = user_columns(connection)
            found = {column.lower(): column for column in columns}.get(name.lower())
            if found is None:
                raise QueryError(
                    f"column {name!r}: expected one that was added by annotate; the store has {', '.join(map(repr, columns)) or 'none'}"
                )
            connection.execute(f"ALTER TABLE all_items DROP COLUMN {quoted_name(found)}")
            connection.execute(ITEMS)


def user_columns(connection: Connection) -> dict[str, pa.DataType]:
    """Read the user's columns with their types, in the order in which they were added."""
    schema = connection.sql("SELECT * FROM all_items LIMIT 0").to_arrow_table().schema
    return {field.name: _in_utc(field.type) for field in schema if field.name not in OWN}


def _in_utc(kind: pa.DataType) -> pa.DataType:
    """Give a type that does not depend on the time zone of this machine."""
    return pa.timestamp(kind.unit, "UTC") if pa.types.is_timestamp(kind) and kind.tz is not None else kind


def add_columns(connection: Connection, columns: pa.Schema) -> None:
    """Add those columns that the items do not have, without values."""
    existing = {name.lower() for name in [*OWN, *user_columns(connection)]}
    new = [name for name in columns.names if name.lower() not in existing]
    if not new:
        return
    connection.register("sample", columns.empty_table())
    types = {row[0]: row[1] for row in connection.execute("DESCRIBE sample").fetchall()}
    for name in new:
        connection.execute(f"ALTER TABLE all_items ADD COLUMN {quoted_name(name)} {types[name]}")
    connection.execute(ITEMS)


def empty_columns(connection: Connection, names: Sequence[str]) -> None:
    """Remove all values of some columns, of the items that have one of the first."""
    emptied = ", ".join(f"{quoted_name(name)} = NULL" for name in names)
    connection.execute(f"UPDATE all_items SET {emptied} WHERE {quoted_name(names[0])} IS NOT NULL")


def set_values(connection: Connection, names: Sequence[str], rows: pa.Table | pa.RecordBatchReader) -> None:
    """Set columns of some items; other items keep their values. rows: the id and a value for each name; no id occurs twice."""
    fields = rows.schema.names[1:]
    connection.register("given", rows)
    values = ", ".join(
        f"{quoted_name(name)} = given.{quoted_name(field)}" for name, field in zip(names, fields, strict=True)
    )
    connection.execute(f"UPDATE all_items SET {values} FROM given WHERE all_items.id = given.id")
