"""Items as a page shows them: lists of ids in an order, all columns of some items, and the values that a column has."""

import time
from collections.abc import Collection
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurestore.catalog.connection import Database
from featurestore.catalog.engine import Connection, quoted_name
from featurestore.catalog.schema import OWN
from featurestore.errors import QueryError

LONGEST = 100_000  # characters of a value that is read; no more of it is shown
SECONDS = 30.0
ROWS, PAUSE = 122_880, 0.005  # that are read at a time, as DuckDB groups them, and seconds until the next
LARGE = {pa.string(): pa.large_string()}  # of which one piece may be larger than 2 GB
FREQUENT = 100  # values that are listed
AS_THEY_ARE = {
    "BOOLEAN",
    "TINYINT",
    "SMALLINT",
    "INTEGER",
    "BIGINT",
    "UTINYINT",
    "USMALLINT",
    "UINTEGER",
    "FLOAT",
    "DOUBLE",
}


class ItemPages:
    """The items of a catalog, for those who look at a part of them."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def columns(self) -> dict[str, tuple[str, bool]]:
        """Read the columns of the items in their order: the type in SQL, and whether it is one of ours, not the user's."""
        with self._database.reading() as connection:
            return {name: (kind, name in OWN) for name, kind in _columns(connection).items()}

    def ordered(self, where: str | None, sort: str, descending: bool) -> NDArray[np.int64]:
        """Give the ids of all items, or those for which `where` holds, by a column, then by id; items without a value come last.

        Raises QueryError as `Items.select` does, and when there is no such column.
        """
        with self._database.reading() as connection:
            known = _columns(connection)
            if where is None and sort == "id":
                order = "DESC" if descending else "ASC"
                return _ids(connection.sql(f"SELECT id FROM items ORDER BY id {order}").to_arrow_table())
        text = f"SELECT id FROM items WHERE {where or 'TRUE'}\nORDER BY {_column(sort, known)} {'DESC' if descending else 'ASC'} NULLS LAST, id"
        return _ids(self._database.run_where(where or "TRUE", text, SECONDS, "items"))

    def page(self, ids: NDArray[np.int64]) -> pa.Table:
        """Read all columns of some items, in any order; those that do not exist are left out. Numbers stay numbers, all else is text."""
        with self._database.reading() as connection:
            chosen = ", ".join(_readable(name, kind) for name, kind in _columns(connection).items())
            return _of_items(connection, chosen, ids)

    def all(self, without: Collection[str], most_bytes: int) -> pa.Table | None:
        """Read columns of all items, in any order, each in one piece, as `page` does; None when they need more memory than `most_bytes`.

        Between two parts others may use the catalog. If one of them changes it, the parts do not belong together; see `Catalog.state`.
        """
        parts: list[pa.Table] = []
        size, first, end = 0, 0, 1
        while first < end:
            with self._database.reading() as connection:
                names = {name: kind for name, kind in _columns(connection).items() if name not in without}
                chosen = ", ".join(_readable(name, kind) for name, kind in names.items())
                [(end,)] = connection.execute("SELECT coalesce(max(rowid) + 1, 0) FROM all_items").fetchall()
                found = connection.sql(
                    f"SELECT {chosen} FROM all_items WHERE rowid BETWEEN {first} AND {first + ROWS - 1} AND removed_at IS NULL"
                ).to_arrow_reader()
                schema = pa.schema([field.with_type(LARGE.get(field.type, field.type)) for field in found.schema])
                parts.append(found.cast(schema).read_all())
            first += ROWS
            size += parts[-1].nbytes
            if size > most_bytes or parts[-1].schema != parts[0].schema:
                return None
            time.sleep(PAUSE)
        return pa.concat_tables(parts).combine_chunks()

    def places(self, ids: NDArray[np.int64]) -> list[tuple[int, str, str | None, int, int]]:
        """Read id, path, content hash, bytes and mtime_ns of some items, in any order; those that do not exist are left out."""
        with self._database.reading() as connection:
            found = _of_items(connection, "id, path, sha256, coalesce(bytes, 0), coalesce(mtime_ns, 0)", ids)
            return list(zip(*(column.to_pylist() for column in found.columns), strict=True))

    def values(self, column: str, where: str | None) -> dict[str, Any]:
        """Summarise the values of a column among all items, or those for which `where` holds. Raises QueryError as `ordered` does."""
        with self._database.reading() as connection:
            known = _columns(connection)
        name = _column(column, known)
        text = f"""WITH chosen AS (SELECT {name} AS value FROM items WHERE {where or "TRUE"}
            ), frequent AS (
                SELECT value, count(*) AS items FROM chosen WHERE value IS NOT NULL GROUP BY value ORDER BY items DESC, value LIMIT {FREQUENT}
            ) SELECT count(DISTINCT value) AS "distinct", {_readable_value("min(value)", known[column])} AS least,
                {_readable_value("max(value)", known[column])} AS greatest, count(*) - count(value) AS empty,
                (SELECT list({_readable_value("value", known[column])} ORDER BY items DESC, value) FROM frequent) AS frequent,
                (SELECT list(items ORDER BY items DESC, value) FROM frequent) AS counts FROM chosen"""
        [found] = self._database.run_where(where or "TRUE", text, SECONDS, "items").to_pylist()
        return {**found, "type": known[column]}


def _of_items(connection: Connection, chosen: str, ids: NDArray[np.int64]) -> pa.Table:
    connection.register("wanted", pa.table({"id": ids}))
    return connection.sql(f"SELECT {chosen} FROM items SEMI JOIN wanted USING (id)").to_arrow_table()


def _columns(connection: Connection) -> dict[str, str]:
    """Read the columns of the items with their types in SQL."""
    return {name: kind for name, kind, *_ in connection.execute("DESCRIBE items").fetchall()}


def _column(name: str, known: dict[str, str]) -> str:
    """Write the name of a column as SQL does. Raises QueryError when there is none of that name."""
    if name not in known:
        raise QueryError(f"there is no column {name!r}; the columns of items are {', '.join(list(known)[:30])}")
    return quoted_name(name)


def _readable(name: str, kind: str) -> str:
    own = name in OWN and kind == "VARCHAR"
    return quoted_name(name) if own else f"{_readable_value(quoted_name(name), kind)} AS {quoted_name(name)}"


def _readable_value(value: str, kind: str) -> str:
    """Read a value as JSON can hold it: numbers and lists of text as they are, everything else as text of bounded length."""
    if kind in AS_THEY_ARE or kind == "VARCHAR[]":
        return value
    if kind.startswith("DECIMAL"):
        return f"{value}::DOUBLE"
    return f"left({value}::TEXT, {LONGEST})"


def _ids(table: pa.Table) -> NDArray[np.int64]:
    found: NDArray[np.int64] = table["id"].to_numpy()
    return found
