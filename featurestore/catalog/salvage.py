"""A damaged catalog read piece by piece: all that can be read goes into a new one."""

from typing import Any

import pyarrow as pa

from featurestore.catalog.column_writers import record_earlier_writers
from featurestore.catalog.connection import Database
from featurestore.catalog.engine import Connection, quoted_name
from featurestore.catalog.migrate import rename_classifiers, renamed_columns
from featurestore.catalog.schema import ITEMS, OWN, SCHEMA, WRITERS_SINCE, version_by_tables
from featurestore.errors import StoreCorrupt

ROW_GROUP = 122_880  # rows whose columns DuckDB stores together: the most that one damaged block can destroy
ESSENTIAL = {
    "all_items": ("id", "path"),
    "encoders": ("fingerprint", "name", "dim", "rows", "card", "file"),
    "vectors": ("item", "encoder", "row", "sha256"),
    "blocks": ("encoder", "first", "rows", "sha256"),
    "failures": ("path", "reason"),
    "indexes": ("encoder", "generation", "file", "vectors", "rows", "bytes", "sha256", "card"),
    "classifiers": ("name", "encoder", "method", "card", "weights", "sha256"),
    "label_history": ("change", "item"),
    "deleted": ("sha256",),
    "sources": ("path",),
    "written_columns": ("name", "command"),
    "settings": ("name", "value"),
}  # a row without one of these is lost
DERIVED = ("indexes",)  # losing them is harmless: they are built again from the vectors


def columns_of(old: Database) -> dict[str, dict[str, str]]:
    """Read the columns of each table with their types. Raises StoreCorrupt when not even these can be read."""
    columns: dict[str, dict[str, str]] = {}
    described = "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE NOT internal"
    for table, column, kind in _ask(old, described):
        columns.setdefault(table, {})[column] = kind
    if "all_items" not in columns:
        raise StoreCorrupt(f"{old.path}: expected a catalog of featurestore, found a database without its tables")
    return columns


def _version(old: Database, columns: dict[str, dict[str, str]]) -> int:
    """Tell which version of our columns a damaged catalog has; the row that states it may be lost."""
    try:
        [(version,)] = _ask(old, "SELECT schema_version FROM meta WHERE schema_version IS NOT NULL")
        return int(version)
    except (StoreCorrupt, ValueError):  # ValueError: not one row
        return version_by_tables(columns)


def salvage(old: Database, connection: Connection) -> dict[str, int]:
    """Fill an empty catalog with everything that can be read of a damaged one; returns what is lost: rows by table, values by column.

    Columns are read one by one, so that damage in one does not destroy the others. A row without an essential column is lost.
    """
    connection.execute(SCHEMA)
    lost: dict[str, int] = {}
    columns = columns_of(old)
    version = _version(old, columns)
    renamed = renamed_columns(list(columns["all_items"]), version)
    for name, kind in columns["all_items"].items():
        if name.lower() not in OWN or name in renamed:
            connection.execute(f"ALTER TABLE all_items ADD COLUMN {quoted_name(renamed.get(name, name))} {kind}")
    connection.execute(ITEMS)
    for table in [name for name in ESSENTIAL if name in columns]:
        missing: dict[str, int] = {}
        try:
            _save(old, connection, table, list(columns[table]), missing, renamed if table == "all_items" else {})
        except StoreCorrupt:
            missing = {f"all of {table}": 1}
        if table not in DERIVED:
            lost |= missing
    rename_classifiers(connection, renamed)
    if version < WRITERS_SINCE:
        record_earlier_writers(connection)
    connection.execute(
        """UPDATE all_items SET sha256 = v.sha256
           FROM (SELECT item, min(sha256) AS sha256 FROM vectors GROUP BY item HAVING count(DISTINCT sha256) = 1) v
           WHERE all_items.sha256 IS NULL AND v.item = all_items.id"""
    )
    connection.execute("UPDATE encoders SET file = fingerprint[:16] || '.f16' WHERE file IS NULL")  # before schema 2
    connection.execute("UPDATE meta SET next_item = (SELECT coalesce(max(id), 0) + 1 FROM all_items)")
    try:
        [(next_item,)] = _ask(old, "SELECT next_item FROM meta")
        connection.execute("UPDATE meta SET next_item = greatest(next_item, ?)", [next_item])
    except StoreCorrupt:
        lost["the counter of ids"] = 1
    if "default_encoder" in columns.get("meta", {}):
        try:
            [(default,)] = _ask(old, "SELECT default_encoder FROM meta")
            connection.execute("UPDATE meta SET default_encoder = ?", [default])
        except StoreCorrupt:
            lost["the default encoder"] = 1
    return lost


def _save(
    old: Database, connection: Connection, table: str, columns: list[str], lost: dict[str, int], renamed: dict[str, str]
) -> None:
    [(count, last)] = _ask(
        old, f"SELECT count(*), coalesce(max(rowid), -1) FROM {table}"
    )  # rowids have gaps where rows were deleted
    kept = 0
    for first in range(0, last + 1, ROW_GROUP):
        part = {column: _column(old, table, column, first) for column in columns}
        essential = [part[column] for column in ESSENTIAL[table] if column in part]
        if any(values is None for values in essential):
            continue
        length = len(essential[0])
        for column in columns:
            if part[column] is None:
                lost[f"{column} in {table}"] = lost.get(f"{column} in {table}", 0) + length
                part[column] = pa.nulls(length)
        connection.register("part", pa.table({renamed.get(column, column): values for column, values in part.items()}))
        connection.execute(f"INSERT INTO {table} BY NAME SELECT * FROM part")
        kept += length
    if kept < count:
        lost[f"rows of {table}"] = count - kept


def _column(old: Database, table: str, column: str, first: int) -> Any:
    """Read one column of one row group; None when it is damaged. A connection that met damage is not used again."""
    within = f"rowid >= {first} AND rowid < {first + ROW_GROUP}"
    try:
        with old.reading() as connection:
            found = connection.sql(f"SELECT {quoted_name(column)} FROM {table} WHERE {within} ORDER BY rowid")
            return found.to_arrow_table().column(0)
    except StoreCorrupt:
        return None


def _ask(old: Database, text: str) -> list[Any]:
    with old.reading() as connection:
        return connection.execute(text).fetchall()
