"""Items: which there are, what is known of them, and which of them an SQL expression selects."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurestore.catalog.columns import user_columns
from featurestore.catalog.connection import Database
from featurestore.catalog.engine import quoted_name
from featurestore.catalog.lookup import MatchedItems, Spelling, match, similar_paths
from featurestore.system.spool import Spool


@dataclass(frozen=True, slots=True)
class ColumnValues:
    """What values a column of the items has, as text."""

    distinct: int
    least: str | None
    greatest: str | None
    type: str  # in SQL
    frequent: dict[str, int]  # the most frequent values, and how many items have them


class Items:
    """The items of a catalog."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def select(self, where: str, seconds: float = 30.0, with_removed: bool = False) -> NDArray[np.int64]:
        """Give the ids, ascending, of the items for which `where` holds: one SQL expression over the columns of `items`.

        with_removed: look at items that are marked as removed, too. Raises QueryError for anything but one expression, and when it
        takes longer than `seconds`.
        """
        table = "all_items AS items" if with_removed else "items"
        text = f"SELECT id FROM {table} WHERE {where}\nORDER BY id"
        found: NDArray[np.int64] = self._database.run_where(where, text, seconds, table)["id"].to_numpy()
        return found

    def look_up(self, rows: Spool, by_path: bool, spellings: Sequence[Spelling]) -> MatchedItems:
        """Find the items that the rows of a user's file are about; see `lookup.match`."""
        with self._database.reading() as connection:
            return match(connection, rows, by_path, spellings)

    def similar_paths(self, paths: Sequence[str]) -> list[tuple[str, str]]:
        """Pair paths of a file with items of a similar name; see `lookup.similar_paths`."""
        with self._database.reading() as connection:
            return similar_paths(connection, paths)

    def first_paths(self, count: int) -> list[str]:
        """Give the paths of some items."""
        with self._database.reading() as connection:
            found = connection.execute("SELECT path FROM items ORDER BY id LIMIT ?", [count]).fetchall()
            return [path for (path,) in found]

    def count(self) -> int:
        """Count the items."""
        with self._database.reading() as connection:
            [(items,)] = connection.execute("SELECT count(*) FROM items").fetchall()
            return int(items)

    def counts(self, chosen: NDArray[np.int64] | None = None) -> dict[str, Any]:
        """Count items, labelled and removed items and failures, items by split and label; give the types of the user's columns.

        chosen: ids of the items to count instead of all; removed items and failures are always those of the store. An item with several
        labels counts with each of them.
        """
        items_table = "items"
        with self._database.reading() as connection:
            if chosen is not None:
                connection.register("chosen", pa.table({"id": chosen}))
                items_table = "(FROM items SEMI JOIN chosen USING (id))"

            def ask(text: str) -> list[tuple[Any, ...]]:
                return connection.execute(text).fetchall()

            [(items, labelled, several)] = ask(
                f"SELECT count(*), count(label) + count(labels), count(labels) FROM {items_table}"
            )
            [(removed,)] = ask("SELECT count(*) FROM all_items WHERE removed_at IS NOT NULL")
            [(failures,)] = ask("SELECT count(*) FROM failures")
            splits = ask(f"SELECT coalesce(split, '(none)'), count(*) FROM {items_table} GROUP BY 1 ORDER BY 1")
            labels = ask(
                f"SELECT unnest(coalesce(labels, [label])) AS name, count(*) FROM {items_table} WHERE coalesce(label, labels[1]) IS NOT NULL GROUP BY 1 ORDER BY 1"
            )
            columns = {name: str(kind) for name, kind in user_columns(connection).items()}
        return {
            "items": items, "labelled": labelled, "several_labels": several, "removed": removed, "failures": failures, "splits": dict(splits),
            "labels": dict(labels), "columns": columns,
        }  # fmt: skip

    def contents(self) -> dict[int, str | None]:
        """Read the content hash of every item, by id."""
        with self._database.reading() as connection:
            return dict(connection.execute("SELECT id, sha256 FROM items").fetchall())

    def hashes(self) -> tuple[NDArray[np.int64], NDArray[np.void]]:
        """Read the content hash of every item: ids, ascending, and 32 bytes each; zeros for what is no SHA-256."""
        with self._database.reading() as connection:
            found = connection.sql(
                """SELECT id, unhex(if(regexp_full_match(coalesce(sha256, ''), '[0-9a-f]{64}'), sha256, repeat('0', 64))) AS hash
                   FROM items ORDER BY id"""
            ).to_arrow_table()
        hashes = found["hash"].cast(pa.binary(32)).combine_chunks()
        return found["id"].to_numpy(), np.frombuffer(hashes.buffers()[1], "V32", len(hashes), 32 * hashes.offset)

    def files(self) -> dict[int, tuple[str, int, int]]:
        """Read content hash, bytes and time of modification (ns) of every item's file, by id; "" and 0 where they are not known."""
        with self._database.reading() as connection:
            found = connection.execute(
                "SELECT id, coalesce(sha256, ''), coalesce(bytes, 0), coalesce(mtime_ns, 0) FROM items"
            ).fetchall()
            return {item: (sha256, size, mtime) for item, sha256, size, mtime in found}

    def described(self, ids: NDArray[np.int64], columns: Sequence[str]) -> pa.Table:
        """Read id, path, label, labels, split, content hash and some columns of the user of some items, by id; what is gone is left out."""
        names = ", ".join(["id", "path", "label", "labels", "split", "sha256", *map(quoted_name, columns)])
        with self._database.reading() as connection:
            connection.register("chosen", pa.table({"id": ids}))
            return connection.sql(f"SELECT {names} FROM items SEMI JOIN chosen USING (id) ORDER BY id").to_arrow_table()

    def places(self) -> pa.Table:
        """Read where the content of every item was found, by id: id, path, sha256, bytes and mtime_ns, as far as they are known."""
        with self._database.reading() as connection:
            return connection.sql(
                "SELECT id, path, sha256, coalesce(bytes, 0) AS bytes, coalesce(mtime_ns, 0) AS mtime_ns FROM items ORDER BY id"
            ).to_arrow_table()

    def sizes_and_sharpness(self) -> dict[int, tuple[int | None, int | None, float | None]]:
        """Read width and height in pixels, and sharpness, of every item, by id."""
        with self._database.reading() as connection:
            found = connection.execute("SELECT id, width, height, sharpness FROM items").fetchall()
            return {item: (width, height, sharpness) for item, width, height, sharpness in found}

    def values(self, columns: Sequence[str], most: int) -> dict[str, ColumnValues]:
        """Summarise the values of columns of `items`, with up to `most` of the most frequent; names that are no column are left out."""
        found = {}
        with self._database.reading() as connection:
            known = {name.lower(): name for name, *_ in connection.execute("DESCRIBE items").fetchall()}
            for name in dict.fromkeys(known[column.lower()] for column in columns if column.lower() in known):
                column = quoted_name(name)
                [(distinct, least, greatest, kind)] = connection.execute(
                    f"SELECT count(DISTINCT {column}), min({column})::TEXT, max({column})::TEXT, typeof(min({column})) FROM items"
                ).fetchall()
                frequent = connection.execute(
                    f"""SELECT {column}::TEXT, count(*) FROM items WHERE {column} IS NOT NULL
                        GROUP BY {column} ORDER BY 2 DESC, {column} LIMIT {most}"""
                ).fetchall()
                found[name] = ColumnValues(distinct, least, greatest, kind, dict(frequent))
        return found

    def twins(self) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Give the ids, ascending, of all items with the same content as another item, and for each the least id of that content."""
        with self._database.reading() as connection:
            found = connection.sql(
                """SELECT id, least FROM items JOIN (
                       SELECT sha256, min(id) AS least FROM items WHERE sha256 IS NOT NULL GROUP BY sha256 HAVING count(*) > 1
                   ) USING (sha256) ORDER BY id"""
            ).to_arrow_table()
            return found["id"].to_numpy(), found["least"].to_numpy()

    def failures(self) -> list[tuple[str, str, Any]]:
        """Read path, reason and time of every file that could not be used, by path."""
        with self._database.reading() as connection:
            return connection.execute("SELECT path, reason, seen_at FROM failures ORDER BY path").fetchall()
