"""What the store's one writer records, each function within its caller's transaction."""

import json
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurestore.catalog.columns import add_columns, set_values
from featurestore.catalog.connection import Connection
from featurestore.catalog.records import BLOCKS, CHANGES, FAILURES, Batch, IndexRecord, table
from featurestore.system.checksums import Block


def commit(connection: Connection, encoder: str, batch: Batch) -> None:
    """Record one batch: items with their rows, failures, checksums and the counters.

    A path that succeeds loses its failure; an item whose path fails is removed.
    """
    connection.register("batch", table(batch.changes, CHANGES))
    _record_failures(connection, batch)
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
    _add_blocks(connection, encoder, batch.blocks)
    connection.execute("UPDATE encoders SET rows = ? WHERE fingerprint = ?", [batch.rows, encoder])
    connection.execute("UPDATE meta SET next_item = ?", [batch.next_item])
    if batch.values is not None:
        values = batch.values.schema.remove(0)
        add_columns(connection, values)
        set_values(connection, values.names, batch.values)


def _record_failures(connection: Connection, batch: Batch) -> None:
    connection.register("failed", table(batch.failures, FAILURES))
    connection.execute("DELETE FROM failures WHERE path IN (SELECT path FROM batch UNION ALL SELECT path FROM failed)")
    if batch.failures:
        connection.execute("INSERT INTO failures SELECT path, reason, now()::TIMESTAMP FROM failed")
        connection.execute(
            """UPDATE all_items SET removed_at = now()::TIMESTAMP
               WHERE removed_at IS NULL AND path IN (SELECT path FROM failed WHERE unreadable)"""
        )


def remove(connection: Connection, ids: NDArray[np.int64], gone: Sequence[str]) -> None:
    """Mark items as removed, and forget the failures of paths that are gone."""
    connection.register("vanished", pa.table({"id": ids}))
    connection.register("gone", pa.table({"path": pa.array(gone, pa.string())}))
    connection.execute(
        "UPDATE all_items SET removed_at = now()::TIMESTAMP WHERE removed_at IS NULL AND id IN (SELECT id FROM vanished)"
    )
    connection.execute("DELETE FROM failures WHERE path IN (SELECT path FROM gone)")


def delete(connection: Connection, ids: NDArray[np.int64]) -> None:
    """Forget items and that any encoder has vectors of them."""
    connection.register("deleted", pa.table({"id": ids}))
    connection.execute("DELETE FROM vectors WHERE item IN (SELECT id FROM deleted)")
    connection.execute("DELETE FROM all_items WHERE id IN (SELECT id FROM deleted)")


def add_encoder(connection: Connection, fingerprint: str, name: str, dim: int, card: str) -> None:
    """Make an encoder known, with no rows; one that is known stays as it is."""
    connection.execute(
        """INSERT INTO encoders SELECT $1, $2, $3, 0, $4, now()::TIMESTAMP, $1[:16] || '.f16'
           WHERE $1 NOT IN (SELECT fingerprint FROM encoders)""",
        [fingerprint, name, dim, card],
    )


def publish_vectors(
    connection: Connection,
    encoder: str,
    file: str,
    rows: NDArray[np.int64],
    items: NDArray[np.int64],
    blocks: Sequence[Block],
) -> None:
    """Take another vector file for an encoder, which has no index then: its row r is what was row `rows[r]`, of the item `items[r]`."""
    connection.register("moved", pa.table({"old": rows, "item": items, "row": np.arange(len(rows))}))
    connection.execute(
        "CREATE TEMP TABLE kept AS SELECT m.item, v.encoder, m.row, v.sha256 FROM moved m JOIN vectors v ON v.encoder = ? AND v.row = m.old",
        [encoder],
    )
    connection.execute("DELETE FROM vectors WHERE encoder = ?", [encoder])
    connection.execute("INSERT INTO vectors SELECT * FROM kept ORDER BY row")
    set_blocks(connection, encoder, blocks)
    connection.execute("UPDATE encoders SET file = ?, rows = ? WHERE fingerprint = ?", [file, len(rows), encoder])
    drop_index(connection, encoder)


def set_blocks(connection: Connection, encoder: str, blocks: Sequence[Block]) -> None:
    """Take other checksums for the vector file of an encoder."""
    connection.execute("DELETE FROM blocks WHERE encoder = ?", [encoder])
    _add_blocks(connection, encoder, blocks)


def _add_blocks(connection: Connection, encoder: str, blocks: Sequence[Block]) -> None:
    connection.register("new_blocks", table(blocks, BLOCKS))
    connection.execute("INSERT INTO blocks SELECT ?, first, rows, sha256 FROM new_blocks ORDER BY first", [encoder])


def publish_index(connection: Connection, index: IndexRecord) -> None:
    """Take another index for an encoder."""
    drop_index(connection, index.encoder)
    connection.execute(
        """INSERT INTO indexes (encoder, generation, file, vectors, rows, bytes, sha256, card, built_at)
           VALUES (?, ?, ?, ?, ?, ?, ?, ?, now()::TIMESTAMP)""",
        [
            index.encoder, index.generation, index.file, index.vectors, index.rows, index.bytes, index.sha256, json.dumps(index.card),
        ],
    )  # fmt: skip


def drop_index(connection: Connection, encoder: str) -> None:
    """Forget the index of an encoder, if it has one."""
    connection.execute("DELETE FROM indexes WHERE encoder = ?", [encoder])
