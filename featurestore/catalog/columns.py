"""Columns of the items beside ours: those of users, and those that commands fill."""

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurestore.catalog.column_writers import set_writer, writers
from featurestore.catalog.connection import Database
from featurestore.catalog.engine import Connection, quoted_name
from featurestore.catalog.schema import ITEMS, OWN
from featurestore.errors import QueryError
from featurestore.system.spool import Spool
from featurestore.system.text import as_argument, shortened

SHOWN = 60  # characters of a name from the catalog that a message repeats


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

    def writers(self) -> dict[str, str]:
        """Read which command wrote a column, for those that one wrote; the others are the user's."""
        with self._database.reading() as connection:
            by = writers(connection)
            return {name: by[name.lower()] for name in user_columns(connection) if name.lower() in by}

    def require_written_by(self, command: str, names: Sequence[str]) -> None:
        """Raise QueryError when the items have a column of one of these names that the command did not write."""
        with self._database.reading() as connection:
            _require_written_by(connection, command, dict.fromkeys(names))

    def set_values(self, names: Sequence[str], rows: Spool) -> None:
        """Set columns from a file of the user, whose columns they are then; those that do not exist are added.

        rows: the id of an item and a value for each name; no id occurs twice.
        """
        with self._database.transaction() as connection:
            add_columns(connection, pa.schema(zip(names, rows.schema.types[1:], strict=True)))
            set_writer(connection, names, None)
            set_values(connection, names, rows.reader())

    def restore_values(self, names: Sequence[str], rows: Spool) -> None:
        """Set columns of items that were added again to what they had before; who wrote a column stays. rows: as `set_values`."""
        with self._database.transaction() as connection:
            set_values(connection, names, rows.reader())

    def write(self, command: str, rows: Spool, everywhere: bool) -> None:
        """Set columns to what a command found; those that do not exist are added.

        rows: the id of an item, and a value for each column; no id occurs twice. everywhere: all other items lose their values.
        Raises QueryError when the command did not write a column that is there.
        """
        columns = rows.schema.remove(0)
        with self._database.transaction() as connection:
            _add_written(connection, command, columns)
            if everywhere:
                empty_columns(connection, columns.names)
            set_values(connection, columns.names, rows.reader())

    def write_measured(self, command: str, name: str, rows: Spool, everywhere: bool) -> int:
        """Set a column to what a command measured on contents, of those items that still have them; returns their number.

        rows: the id of an item, the hash of its content and a value; no id occurs twice. everywhere: all other items lose their values.
        Raises QueryError when the command did not write a column of that name.
        """
        with self._database.transaction() as connection:
            _add_written(connection, command, pa.schema([(name, rows.schema.types[2])]))
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
            set_writer(connection, [found], None)


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


def _add_written(connection: Connection, command: str, columns: pa.Schema) -> None:
    """Add columns that a command is about to write. Raises QueryError when one is there that it did not write."""
    _require_written_by(connection, command, dict(zip(columns.names, columns.types, strict=True)))
    add_columns(connection, columns)
    set_writer(connection, columns.names, command)


def _require_written_by(connection: Connection, command: str, wanted: Mapping[str, pa.DataType | None]) -> None:
    """Raise QueryError unless the items have no column of these names, or the command wrote it; wanted: type by name, None is any."""
    by, wanted = writers(connection), {name.lower(): kind for name, kind in wanted.items()}
    for spelled, found in user_columns(connection).items():
        name, writer = spelled.lower(), by.get(spelled.lower())
        if name not in wanted or (writer == command and wanted[name] in (None, found)):
            continue
        own = writer == command
        what = (
            f"values of type {found}"
            if own
            else "your own"
            if writer is None
            else f"that of {shortened(writer, SHOWN)!r}"
        )
        raise QueryError(
            f"column {spelled!r}: expected one that {command!r} wrote{f', of type {wanted[name]}' if own else ''}, found {what}; it stays as it is. "
            f"Remove it first: featurestore annotate STORE --drop {as_argument(spelled)}; to keep its values, annotate them under another name before"
        )


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
