"""Damage of a catalog, found and repaired: unreadable bytes, and rows that contradict each other."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from featurestore.catalog.connection import Database
from featurestore.catalog.engine import Connection, quoted_name
from featurestore.catalog.migrate import publish, rename_classifiers, renamed_columns
from featurestore.catalog.schema import ITEMS, OWN, SCHEMA, TABLES
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
}  # a row without one of these is lost
DERIVED = ("indexes",)  # losing them is harmless: they are built again from the vectors
NAMELESS = "FROM all_items WHERE id IS NULL OR path IS NULL"
USABLE_INDEX = """EXISTS (SELECT 1 FROM encoders e WHERE e.fingerprint = x.encoder AND e.file = x.vectors AND x.rows BETWEEN 1 AND e.rows)
    AND coalesce(regexp_full_match(x.file, x.encoder[:16] || '-[0-9]+[.]faiss') AND json_valid(x.card), false)
    AND NOT EXISTS (SELECT 1 FROM indexes o WHERE o.encoder = x.encoder AND o.rowid <> x.rowid)"""
USABLE_CLASSIFIER = """coalesce(sha256(encode(c.card) || c.weights) = c.sha256, false)
    AND NOT EXISTS (SELECT 1 FROM classifiers o WHERE lower(o.name) = lower(c.name) AND o.rowid < c.rowid)"""


@dataclass(frozen=True, slots=True)
class Rule:
    """A condition on the rows: how to count violations, and how to repair them."""

    broken: str  # in words, after the number of violations
    count: str  # SQL
    repair: str  # SQL


RULES = (
    Rule("items have no id or no path; they are deleted", f"SELECT count(*) {NAMELESS}", f"DELETE {NAMELESS}"),
    Rule(
        "items have the path of another item; the oldest of each path stays",
        "SELECT count(path) - count(DISTINCT path) FROM all_items",
        "DELETE FROM all_items a WHERE EXISTS (SELECT 1 FROM all_items b WHERE b.path = a.path AND (b.id, b.rowid) < (a.id, a.rowid))",
    ),
    Rule(
        "items have the id of another item; they get new ids and are encoded again",
        "SELECT count(id) - count(DISTINCT id) FROM all_items",
        """DELETE FROM vectors WHERE item IN (SELECT id FROM all_items GROUP BY id HAVING count(*) > 1);
           UPDATE all_items SET id = renamed.id FROM (
               SELECT rowid AS place, row_number() OVER (ORDER BY rowid) + (SELECT greatest(max(id), max(next_item)) FROM all_items, meta) AS id
               FROM all_items QUALIFY row_number() OVER (PARTITION BY id ORDER BY rowid) > 1) renamed
           WHERE all_items.rowid = renamed.place""",
    ),
    Rule(
        "catalog would use an id twice; the counter is set behind the last id",
        "SELECT count(*) FROM meta WHERE next_item <= (SELECT coalesce(max(id), 0) FROM all_items)",
        "UPDATE meta SET next_item = (SELECT max(id) + 1 FROM all_items)",
    ),
    Rule(
        "encoders are listed twice; one of each stays",
        "SELECT count(*) - count(DISTINCT fingerprint) FROM encoders",
        "DELETE FROM encoders e WHERE EXISTS (SELECT 1 FROM encoders o WHERE o.fingerprint = e.fingerprint AND o.rowid < e.rowid)",
    ),
    Rule(
        "vectors belong to no item; their links are deleted",
        "SELECT count(*) FROM vectors WHERE item NOT IN (SELECT id FROM all_items)",
        "DELETE FROM vectors WHERE item NOT IN (SELECT id FROM all_items)",
    ),
    Rule(
        "vectors belong to no encoder, or to a row that the encoder's file does not have; their items are encoded again",
        "SELECT count(*) FROM vectors v LEFT JOIN encoders e ON e.fingerprint = v.encoder WHERE e.rows IS NULL OR v.row NOT BETWEEN 0 AND e.rows - 1",
        "DELETE FROM vectors v WHERE NOT EXISTS (SELECT 1 FROM encoders e WHERE e.fingerprint = v.encoder AND v.row BETWEEN 0 AND e.rows - 1)",
    ),
    Rule(
        "rows belong to several items; these items are encoded again",
        "SELECT count(*) FROM (SELECT 1 FROM vectors GROUP BY encoder, row HAVING count(*) > 1)",
        "DELETE FROM vectors WHERE (encoder, row) IN (SELECT (encoder, row) FROM vectors GROUP BY encoder, row HAVING count(*) > 1)",
    ),
    Rule(
        "items have several vectors of one encoder; they are encoded again",
        "SELECT count(*) FROM (SELECT 1 FROM vectors GROUP BY encoder, item HAVING count(*) > 1)",
        "DELETE FROM vectors WHERE (encoder, item) IN (SELECT (encoder, item) FROM vectors GROUP BY encoder, item HAVING count(*) > 1)",
    ),
    Rule(
        "indexes belong to no encoder, to another vector file, or to more rows than the file has; they are dropped until the next optimize",
        f"SELECT count(*) FROM indexes x WHERE NOT ({USABLE_INDEX})",
        f"DELETE FROM indexes x WHERE NOT ({USABLE_INDEX})",
    ),
    Rule(
        "classifiers do not match their checksum, or have the name of another one; they are dropped, so train them again",
        f"SELECT count(*) FROM classifiers c WHERE NOT ({USABLE_CLASSIFIER})",
        f"DELETE FROM classifiers c WHERE NOT ({USABLE_CLASSIFIER})",
    ),
)


class Repair:
    """Checks and repairs of a catalog."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def unreadable(self) -> str | None:
        """Read the whole catalog; give the first problem in words, None when everything can be read."""
        if not self._database.path.exists():
            return "the file is missing"
        try:
            with self._database.reading() as connection:
                for table in TABLES:  # a hash over all columns reads every byte of them
                    connection.execute(f"SELECT bit_xor(hash(*COLUMNS(*))) FROM {table}").fetchall()
        except StoreCorrupt as error:
            return str(error.__cause__).splitlines()[0]
        return None

    def contradictions(self) -> list[str]:
        """Say in words, with numbers, where rows contradict each other."""
        with self._database.reading() as connection:
            return [text for text, _ in _violations(connection)]

    def resolve_contradictions(self) -> None:
        """Make contradicting rows agree; what cannot be decided is left to be encoded again."""
        with self._database.transaction() as connection:
            for _, rule in _violations(connection):
                connection.execute(rule.repair)

    def salvage(self, move_away: Callable[[], Any]) -> dict[str, int]:
        """Put a new catalog in the place of a damaged one, with everything that can be read; returns what is lost, with numbers.

        `move_away` is called when the new catalog is complete; it moves the old files somewhere else, above all the log.
        Raises StoreCorrupt when nothing can be read, DiskError; then nothing has changed.
        """
        _columns_of(self._database)
        lost: dict[str, int] = {}

        def fill(connection: Connection) -> None:
            lost.update(_salvage(self._database, connection))

        publish(self._database.path, fill, move_away)
        return lost


def _violations(connection: Connection) -> Iterator[tuple[str, Rule]]:
    """Give the rules that do not hold: in words, and the rule."""
    for rule in RULES:
        (count,) = connection.execute(rule.count).fetchall()[0]
        if count:
            yield f"{count} {rule.broken}", rule


def _columns_of(old: Database) -> dict[str, dict[str, str]]:
    """Read the columns of each table with their types. Raises StoreCorrupt when not even these can be read."""
    columns: dict[str, dict[str, str]] = {}
    described = "SELECT table_name, column_name, data_type FROM duckdb_columns() WHERE NOT internal"
    for table, column, kind in _ask(old, described):
        columns.setdefault(table, {})[column] = kind
    if "all_items" not in columns:
        raise StoreCorrupt(f"{old.path}: expected a catalog of featurestore, found a database without its tables")
    return columns


def _version(columns: dict[str, dict[str, str]]) -> int:
    """Tell by the tables which versions of our columns a damaged catalog has; the row that states its version may be lost."""
    history = columns.get("label_history")
    return 4 if history is None else 6 if "labels" in history else 5


def _salvage(old: Database, connection: Connection) -> dict[str, int]:
    """Fill an empty catalog with everything that can be read of a damaged one; returns what is lost: rows by table, values by column.

    Columns are read one by one, so that damage in one does not destroy the others. A row without an essential column is lost.
    """
    connection.execute(SCHEMA)
    lost: dict[str, int] = {}
    columns = _columns_of(old)
    renamed = renamed_columns(list(columns["all_items"]), _version(columns))
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
