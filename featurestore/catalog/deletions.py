"""Items that users deleted: what is kept of them, so that `index` passes their files over."""

from collections.abc import Sequence

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurestore.catalog.connection import Database
from featurestore.catalog.engine import Connection
from featurestore.errors import QueryError
from featurestore.system.spool import Spool


class Deletions:
    """The deletions of a catalog."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def select(self, where: str, seconds: float = 30.0) -> list[str]:
        """Give the paths of deleted items for which `where` holds. Only path and hash are left of them: another expression selects none."""
        table = "(SELECT path, sha256 FROM deleted WHERE path IS NOT NULL) AS items"
        text = f"SELECT path FROM {table} WHERE {where}\nORDER BY path"
        try:
            paths: list[str] = self._database.run_where(where, text, seconds, table)["path"].to_pylist()
        except QueryError as error:
            if isinstance(error.__cause__, duckdb.BinderException):
                return []
            raise
        return paths

    def delete(self, ids: NDArray[np.int64]) -> None:
        """Delete items, and the links to their vectors; path and hash are kept, so that ingest passes their files over.

        Of items whose file is gone nothing is kept: it may come back.
        """
        with self._database.transaction() as connection:
            connection.register("chosen", pa.table({"id": ids}))
            _delete(connection, "path", "removed_at IS NULL")

    def take_back(self, rows: Spool) -> None:
        """Let ingest add items again that were deleted; rows: their paths in the column `key`."""
        with self._database.transaction() as connection:
            connection.register("wanted", rows.reader())
            connection.execute("DELETE FROM deleted WHERE path IN (SELECT key FROM wanted)")

    def forget(self, ids: NDArray[np.int64], deleted: Sequence[str]) -> None:
        """Delete items, and keep the hash of their content only; likewise of items that were deleted before, given by path."""
        with self._database.transaction() as connection:
            connection.register("chosen", pa.table({"id": ids}))
            connection.register("named", pa.table({"path": pa.array(deleted, pa.string())}))
            connection.execute(
                """CREATE TEMP TABLE traces AS SELECT path, sha256 FROM all_items WHERE id IN (SELECT id FROM chosen)
                   UNION ALL SELECT path, sha256 FROM deleted WHERE path IN (SELECT path FROM named)"""
            )
            for table in ("failures", "sources"):
                connection.execute(f"DELETE FROM {table} WHERE path IN (SELECT path FROM traces)")
            connection.execute(
                "UPDATE deleted SET path = NULL WHERE path IN (SELECT path FROM traces) OR sha256 IN (SELECT sha256 FROM traces)"
            )
            _delete(connection, "NULL", "true")


def _delete(connection: Connection, path: str, kept: str) -> None:
    """Delete the items in `chosen`. path, kept: in SQL, the path that is kept of an item, and whether anything is."""
    connection.execute(
        f"INSERT INTO deleted SELECT {path}, sha256, now()::TIMESTAMP FROM all_items WHERE {kept} AND id IN (SELECT id FROM chosen)"
    )
    for table, column in (("vectors", "item"), ("label_history", "item"), ("all_items", "id")):
        connection.execute(f"DELETE FROM {table} WHERE {column} IN (SELECT id FROM chosen)")
