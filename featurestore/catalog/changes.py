"""What ingest asks and records: the difference between the sources and the catalog, and batches of changes."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurestore.catalog.columns import add_columns, set_values
from featurestore.catalog.connection import Database
from featurestore.catalog.diff import Diff, Scope, first_of_each_path, missing_items, to_ingest
from featurestore.catalog.encoders import add_blocks, encoder_record
from featurestore.catalog.engine import Connection
from featurestore.catalog.records import CHANGES, FAILURES, Batch, KnownItem, table
from featurestore.system.spool import Spool


class Changes:
    """Differences and batches of changes of a catalog."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def diff(
        self,
        encoder: str,
        found: Spool,
        has_duplicates: bool,
        by_folder: bool,
        scopes: Sequence[Scope],
        unlisted: Sequence[str],
        container: str,
    ) -> Diff:
        """Compare the files found with the items: what has to be encoded with `encoder`, and what is gone.

        found: rows of `diff.FOUND`. has_duplicates: a path may occur twice in it. by_folder: labels and splits come from folders.
        unlisted: places that could not be read. container: the pattern of a container's suffix.
        """
        with self._database.reading() as connection:
            if has_duplicates:
                found = first_of_each_path(connection, found)
            todo = to_ingest(connection, encoder, found, by_folder)
            removed, gone_failures = missing_items(connection, found, scopes, unlisted, container)
            record = encoder_record(connection, encoder)
            return Diff(todo, found.rows, removed, gone_failures, _next_item(connection), record.rows, record.file)

    def known(self, encoder: str, paths: Sequence[str]) -> tuple[dict[str, KnownItem], int]:
        """Read what the catalog knows of some paths, and the next item id."""
        with self._database.reading() as connection:
            connection.register("wanted", pa.table({"path": pa.array(paths, pa.string())}))
            found = connection.execute(
                """SELECT i.path, i.id, i.sha256, i.label, i.split, v.row IS NOT NULL AND i.removed_at IS NULL
                   FROM all_items i SEMI JOIN wanted USING (path) LEFT JOIN vectors v ON v.item = i.id AND v.encoder = ? AND v.sha256 = i.sha256""",
                [encoder],
            ).fetchall()
            return {row[0]: KnownItem(*row[1:]) for row in found}, _next_item(connection)

    def commit(self, encoder: str, batch: Batch) -> None:
        """Record one batch in one transaction: items with their rows, failures, checksums, counters and columns of the user.

        A path that succeeds loses its failure. An item whose file can no longer be read is marked as removed.
        """
        with self._database.transaction() as connection:
            connection.register("batch", table(batch.changes, CHANGES))
            _record_failures(connection, batch)
            _record_items(connection, encoder, batch)
            add_blocks(connection, encoder, batch.blocks)
            connection.execute("UPDATE encoders SET rows = ? WHERE fingerprint = ?", [batch.rows, encoder])
            connection.execute("UPDATE meta SET next_item = ?", [batch.next_item])
            if batch.values is not None:
                values = batch.values.schema.remove(0)
                add_columns(connection, values)
                set_values(connection, values.names, batch.values)

    def mark_removed(self, ids: NDArray[np.int64], gone_failures: Sequence[str]) -> None:
        """Mark items as removed, and delete the failures of paths that are gone."""
        with self._database.transaction() as connection:
            connection.register("removed", pa.table({"id": ids}))
            connection.register("gone", pa.table({"path": pa.array(gone_failures, pa.string())}))
            connection.execute(
                "UPDATE all_items SET removed_at = now()::TIMESTAMP WHERE removed_at IS NULL AND id IN (SELECT id FROM removed)"
            )
            connection.execute("DELETE FROM failures WHERE path IN (SELECT path FROM gone)")


def _next_item(connection: Connection) -> int:
    """Read the id that the next new item gets."""
    return int(connection.execute("SELECT next_item FROM meta").fetchall()[0][0])


def _record_items(connection: Connection, encoder: str, batch: Batch) -> None:
    if any(change.new for change in batch.changes):
        connection.execute(
            """INSERT INTO all_items (id, path, label, split, width, height, bytes, mtime_ns, sha256, added_at)
               SELECT id, path, label, split, width, height, bytes, mtime_ns, sha256, now()::TIMESTAMP FROM batch WHERE new ORDER BY id"""
        )
    if not all(change.new for change in batch.changes):
        connection.execute(
            """UPDATE all_items SET label = b.label, split = b.split, width = coalesce(b.width, all_items.width),
               height = coalesce(b.height, all_items.height), bytes = b.bytes, mtime_ns = b.mtime_ns,
               sha256 = coalesce(b.sha256, all_items.sha256), removed_at = NULL
               FROM batch b WHERE NOT b.new AND all_items.id = b.id"""
        )
        connection.execute(
            "DELETE FROM vectors WHERE encoder = ? AND item IN (SELECT id FROM batch WHERE NOT new AND row IS NOT NULL)",
            [encoder],
        )
    connection.execute(
        "INSERT INTO vectors SELECT id, ?, row, sha256 FROM batch WHERE row IS NOT NULL ORDER BY row", [encoder]
    )


def _record_failures(connection: Connection, batch: Batch) -> None:
    connection.register("failed", table(batch.failures, FAILURES))
    connection.execute("DELETE FROM failures WHERE path IN (SELECT path FROM batch UNION ALL SELECT path FROM failed)")
    if batch.failures:
        connection.execute("INSERT INTO failures SELECT path, reason, now()::TIMESTAMP FROM failed")
        connection.execute(
            """UPDATE all_items SET removed_at = now()::TIMESTAMP
               WHERE removed_at IS NULL AND path IN (SELECT path FROM failed WHERE unreadable)"""
        )
