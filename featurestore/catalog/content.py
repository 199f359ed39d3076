"""What a catalog may hold: our tables and our view, columns of the user, and nothing else.

A view, a macro, a trigger or a default is a program that would run whenever we read or write. The catalog of a stranger may hold any.
"""

import re
from collections.abc import Sequence
from pathlib import Path

import duckdb

from featurestore.catalog.engine import Connection
from featurestore.catalog.schema import COLUMNS, ITEMS, NEW_NAMES, OWN, SCHEMA_VERSION, version_by_tables
from featurestore.errors import StoreCorrupt, StoreError, StoreUntrusted
from featurestore.system.text import printable

PLAIN = re.compile(  # types that a column of the user may have
    r"BOOLEAN|U?(TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT)|FLOAT|DOUBLE|DECIMAL\(\d+,\d+\)|VARCHAR|DATE|TIMESTAMP(_S|_MS|_NS| WITH TIME ZONE)?"
)
TAKEN = {*OWN, "rowid"}  # names that no column of the user may have
SHOWN = 5  # findings that a message lists
LONGEST = 60  # characters of a name that a message repeats

# DuckDB marks objects as internal, but a file may lie about it. Each database lists the builtin types as its own.
OBJECTS = """
    SELECT 'table', schema_name, table_name, sql FROM duckdb_tables() WHERE database_name = 'attached'
    UNION ALL SELECT 'view', schema_name, view_name, sql FROM duckdb_views() WHERE database_name = 'attached'
    UNION ALL SELECT 'macro', schema_name, function_name, NULL FROM duckdb_functions() WHERE database_name = 'attached'
    UNION ALL SELECT 'trigger', schema_name, trigger_name, NULL FROM duckdb_triggers() WHERE database_name = 'attached'
    UNION ALL SELECT 'sequence', schema_name, sequence_name, NULL FROM duckdb_sequences() WHERE database_name = 'attached'
    UNION ALL SELECT 'index', schema_name, index_name, NULL FROM duckdb_indexes() WHERE database_name = 'attached'
    UNION ALL SELECT 'schema', '', schema_name, NULL FROM duckdb_schemas() WHERE database_name = 'attached' AND schema_name <> 'main'
    UNION ALL (
        SELECT 'type', schema_name, type_name, logical_type FROM duckdb_types() WHERE database_name = 'attached'
        EXCEPT SELECT 'type', schema_name, type_name, logical_type FROM duckdb_types() WHERE database_name = 'memory'
    )
    ORDER BY ALL
"""
COLUMNS_OF = "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE database_name = 'attached' ORDER BY column_index"


def check_content(connection: Connection, path: Path) -> None:
    """Raise StoreUntrusted when the attached catalog holds what we never make, and StoreError when a newer featurestore wrote it.

    The connection must not use the catalog yet: a macro in it could replace the functions that are called here.
    """
    objects = connection.execute(OBJECTS).fetchall()
    columns: dict[str, dict[str, str]] = {}
    for table, column, kind in connection.execute(COLUMNS_OF).fetchall():
        columns.setdefault(table, {})[column] = kind
    found = _strange_objects(objects, columns, TAKEN)
    if not found:
        return
    if not any(kind == "table" and name == "meta" for kind, _, name, _ in objects):
        raise StoreCorrupt(f"{path}: expected a catalog of featurestore, found a database without its tables")
    if ("table", "meta") not in found:
        version = _version(connection, columns)
        if version > SCHEMA_VERSION:
            raise newer(path, version)
        later = (names for since, names in NEW_NAMES.items() if since > version)
        found = _strange_objects(objects, columns, TAKEN.difference(*later))
        if not found:
            return
    first = ", ".join(list(found.values())[:SHOWN])
    more = f" and {len(found) - SHOWN} more" if len(found) > SHOWN else ""
    raise StoreUntrusted(
        f"{path}: expected the tables of featurestore and nothing else, found {first}{more}; do not use the store of a stranger that has "
        "such things; what you added to your own, drop with DuckDB"
    )


def _version(connection: Connection, columns: dict[str, dict[str, str]]) -> int:
    """Read the version of the attached catalog; where its row is damaged, tell it by the tables."""
    try:
        found = connection.execute("SELECT coalesce(max(schema_version), 0) FROM attached.main.meta").fetchall()
    except duckdb.Error:
        return version_by_tables(columns)
    return int(found[0][0])


def newer(path: Path, version: int) -> StoreError:
    """Make the error for a catalog of a newer featurestore."""
    return StoreError(
        f"{path} has schema {version}, this featurestore knows schemas up to {SCHEMA_VERSION}; upgrade featurestore"
    )


def _strange_objects(
    objects: Sequence[tuple[str, str, str, str | None]], columns: dict[str, dict[str, str]], taken: set[str]
) -> dict[tuple[str, str], str]:
    """Say in words what is wrong with objects, by kind and name. taken: names that no column of the user may have."""
    return {
        (kind, name): text
        for kind, schema, name, sql in objects
        if (text := _strange(kind, schema, name, sql, columns.get(name, {}), taken))
    }


def _strange(
    kind: str, schema: str, name: str, sql: str | None, columns: dict[str, str], taken: set[str]
) -> str | None:
    """Say in words what is wrong with an object; None when it is ours. taken: names that no column of the user may have."""
    if (
        kind == "view"
        and (schema, name) == ("main", "items")
        and _spelled(sql) == _spelled(ITEMS.replace("OR REPLACE ", ""))
    ):
        return None
    if kind != "table" or schema != "main" or name not in COLUMNS:
        return f"the {kind} {_shown(name)}"
    for column, of in columns.items():
        is_users = name == "all_items" and column.lower() not in taken and PLAIN.fullmatch(of)
        if COLUMNS[name].get(column) != of and not is_users:
            return f"the column {_shown(column)} of {name} with the type {_shown(of)}"
    if _spelled(sql) != _spelled(f"CREATE TABLE {name}({', '.join(map(' '.join, columns.items()))});"):
        return f"the table {name} with a default, a generated column or a constraint"
    return None


def _spelled(sql: str | None) -> str:
    """Leave out of a statement what DuckDB may write in one way or another: quotes, parentheses, spaces and case."""
    return re.sub(r'["()\s]', "", sql or "").lower()


def _shown(name: str) -> str:
    text = printable(name)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}…"
