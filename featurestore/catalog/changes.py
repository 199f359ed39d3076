"""What ingest asks and records: the difference between the sources and the catalog, and batches of changes."""

from collections.abc import Iterable, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurestore.catalog.column_writers import set_writer
from featurestore.catalog.columns import add_columns, set_values
from featurestore.catalog.connection import Database
from featurestore.catalog.diff import (
    Diff,
    Scope,
    deleted_files,
    deleted_hashes,
    first_of_each_path,
    kept_labels,
    missing_items,
    to_ingest,
)
from featurestore.catalog.encoders import add_blocks, encoder_record
from featurestore.catalog.engine import Connection
from featurestore.catalog.labels import NOT_BY_A_PERSON, Change, LabelCounts, given, next_change, replace_labels
from featurestore.catalog.moves import LostItem, LostItems, lost_items, read_lost
from featurestore.catalog.records import CHANGES, FAILURES, Batch, KnownItem, table
from featurestore.catalog.schema import QUALITY
from featurestore.system.spool import Spool

# A content keeps its first values: encoders that read other bands of an image would change them each time.
REPLACED_QUALITY = ", ".join(
    f"""{name} = CASE WHEN b.sha256 IS NULL OR b.sha256 = all_items.sha256 THEN coalesce(all_items.{name}, b.{name})
        ELSE b.{name} END"""
    for name in QUALITY
)


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
        include_deleted: bool = False,
    ) -> Diff:
        """Compare the files found with the items: what has to be encoded with `encoder`, and what is gone.

        found: rows of `diff.FOUND`. has_duplicates: a path may occur twice in it. by_folder: labels and splits come from folders.
        unlisted: places that could not be read. container: the pattern of a container's suffix. include_deleted: items that were deleted
        come back.
        """
        with self._database.reading() as connection:
            if has_duplicates:
                found = first_of_each_path(connection, found)
            todo = to_ingest(connection, encoder, found, by_folder, include_deleted)
            deleted = (0, frozenset[str]()) if include_deleted else deleted_files(connection, found)
            labels_kept = kept_labels(connection, found, todo) if by_folder else 0
            removed, gone_failures = missing_items(connection, found, scopes, unlisted, container)
            lost = lost_items(connection, found, todo, removed)
            record = encoder_record(connection, encoder)
            return Diff(
                todo, found.rows, removed, gone_failures, _next_item(connection), record.rows, record.file,
                next_change(connection), labels_kept, *deleted, lost,
            )  # fmt: skip

    def known(self, encoder: str, paths: Sequence[str]) -> tuple[dict[str, KnownItem], int]:
        """Read what the catalog knows of some paths, and the next item id."""
        with self._database.reading() as connection:
            connection.register("wanted", pa.table({"path": pa.array(paths, pa.string())}))
            found = connection.execute(
                """SELECT i.path, i.id, i.sha256, v.row IS NOT NULL AND i.removed_at IS NULL
                   FROM all_items i SEMI JOIN wanted USING (path) LEFT JOIN vectors v ON v.item = i.id AND v.encoder = ? AND v.sha256 = i.sha256""",
                [encoder],
            ).fetchall()
            return {row[0]: KnownItem(*row[1:]) for row in found}, _next_item(connection)

    def lost(self, encoder: str, lost: LostItems, contents: Iterable[str]) -> list[LostItem]:
        """Read the items with one of some contents whose files were not found and that have not moved yet, by id."""
        with self._database.reading() as connection:
            return read_lost(connection, encoder, lost, contents)

    def deleted(self) -> tuple[frozenset[str], frozenset[str]]:
        """Give the paths and the contents of deleted items, which are passed over."""
        with self._database.reading() as connection:
            paths = connection.execute("SELECT path FROM deleted WHERE path IS NOT NULL").fetchall()
            return frozenset(row[0] for row in paths), deleted_hashes(connection)

    def commit(self, encoder: str, batch: Batch) -> LabelCounts:
        """Record one batch in one transaction: items with their rows, failures, checksums, counters and columns of the user.

        A path that succeeds loses its failure. An item whose file is no image any more is marked as removed. Returns what happened to labels.
        """
        with self._database.transaction() as connection:
            connection.register("batch", table(batch.changes, CHANGES))
            _record_failures(connection, batch)
            labels = _record_items(connection, encoder, batch)
            add_blocks(connection, encoder, batch.blocks)
            connection.execute("UPDATE encoders SET rows = ? WHERE fingerprint = ?", [batch.rows, encoder])
            connection.execute("UPDATE meta SET next_item = ?", [batch.next_item])
            if batch.values is not None:
                values = batch.values.schema.remove(0)
                add_columns(connection, values)
                set_writer(connection, values.names, None)
                set_values(connection, values.names, batch.values)
            return labels

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


def _record_items(connection: Connection, encoder: str, batch: Batch) -> LabelCounts:
    labels = LabelCounts(set=sum(change.new and bool(change.label or change.labels) for change in batch.changes))
    if any(change.new for change in batch.changes):
        connection.execute(
            f"""INSERT INTO all_items BY NAME
               SELECT id, path, label, labels, label_source, if({given("label", "batch")}, now()::TIMESTAMP, NULL) AS labelled_at, split, split_source, width, height, {", ".join(QUALITY)}, bytes, mtime_ns, sha256, now()::TIMESTAMP AS added_at
               FROM batch WHERE new ORDER BY id"""
        )
        connection.execute(  # what was forgotten is wanted again
            "DELETE FROM deleted WHERE path IS NULL AND sha256 IN (SELECT sha256 FROM batch WHERE new)"
        )
    connection.execute("DELETE FROM deleted WHERE path IN (SELECT path FROM batch)")  # what was deleted, too
    if not all(change.new for change in batch.changes):
        connection.execute(
            f"""UPDATE all_items SET path = b.path, {REPLACED_QUALITY}, width = coalesce(b.width, all_items.width),
               height = coalesce(b.height, all_items.height), bytes = b.bytes, mtime_ns = b.mtime_ns,
               sha256 = coalesce(b.sha256, all_items.sha256), removed_at = NULL
               FROM batch b WHERE NOT b.new AND all_items.id = b.id"""
        )
        connection.execute(
            "DELETE FROM vectors WHERE encoder = ? AND item IN (SELECT id FROM batch WHERE NOT new AND row IS NOT NULL)",
            [encoder],
        )
        connection.execute(
            f"""CREATE TEMP TABLE proposed AS SELECT id, label, labels, label_source, false AS label_cleared,
                    {NOT_BY_A_PERSON}, split, split_source, false AS split_cleared
                FROM batch WHERE NOT new AND ({given("label", "batch")} OR {given("split", "batch")})"""
        )
        labels += replace_labels(connection, Change(batch.change, "index"))
    connection.execute(
        "INSERT INTO vectors SELECT id, ?, row, sha256 FROM batch WHERE row IS NOT NULL ORDER BY row", [encoder]
    )
    return labels


def _record_failures(connection: Connection, batch: Batch) -> None:
    connection.register("failed", table(batch.failures, FAILURES))
    connection.execute("DELETE FROM failures WHERE path IN (SELECT path FROM batch UNION ALL SELECT path FROM failed)")
    if batch.failures:
        connection.execute("INSERT INTO failures SELECT path, reason, now()::TIMESTAMP FROM failed")
        connection.execute(
            """UPDATE all_items SET removed_at = now()::TIMESTAMP
               WHERE removed_at IS NULL AND path IN (SELECT path FROM failed WHERE removes)"""
        )
