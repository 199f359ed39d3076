"""The catalog of a store: what its one writer records, and what everybody reads.

There are no keys and no secondary indexes: one writer at a time keeps ids and paths unique, and tables ordered by id are
searched by their zone maps.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurestore.blocks import Block
from featurestore.catalog import plan, upkeep
from featurestore.catalog.connection import Connection, Database, ask, check_expression, chosen
from featurestore.catalog.plan import Claim, Plan, spooled
from featurestore.catalog.records import BLOCKS, CHANGES, DETAILS, Batch, EncoderRecord, Known, table
from featurestore.catalog.schema import MIGRATIONS, SCHEMA, SCHEMA_VERSION
from featurestore.catalog.upkeep import quoted
from featurestore.disk import written_whole
from featurestore.errors import StoreCorrupt, StoreError
from featurestore.spool import Spool

PART = "catalog.duckdb.part"  # its name until it is whole
ENCODER = "SELECT fingerprint, name, dim, rows, file, card FROM encoders"
State = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Contents:
    """The items that one encoder has vectors of, ascending by row: N of them, at one moment."""

    encoder: EncoderRecord
    rows: NDArray[np.int64]
    ids: NDArray[np.int64]
    paths: pa.ChunkedArray
    labels: pa.ChunkedArray
    splits: pa.ChunkedArray


@dataclass(frozen=True, slots=True)
class Details:
    """All that is known of the items of one encoder, at one moment."""

    encoder: EncoderRecord
    rows: Spool  # the row, then DETAILS


class Catalog:
    """The DuckDB file of a store."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._database = Database(path)

    # -- schema

    def check(self) -> int:
        """Give the version of the schema. Raises StoreError when it is of a newer featurestore, StoreCorrupt when there is none."""
        with self._database.connect(read_only=True) as connection:
            found = connection.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'meta'").fetchall()
            version = int(connection.execute("SELECT schema_version FROM meta").fetchall()[0][0]) if found else 0
        if version == 0:
            raise StoreCorrupt(
                f"{self._path}: expected a catalog of featurestore, found a database without its tables; index into a new store"
            )
        if version > SCHEMA_VERSION:
            raise StoreError(
                f"{self._path} has schema {version}, this featurestore knows up to {SCHEMA_VERSION}; upgrade featurestore"
            )
        return version

    def create(self) -> None:
        """Create the catalog, when it is not there: whole, or not at all."""
        if not self._path.exists():
            self._publish(lambda connection: connection.execute(SCHEMA))

    def rewrite(self, blocks: Callable[[EncoderRecord], Sequence[Block]] | None = None) -> None:
        """Write the catalog anew: of the present schema, without the space that deleted rows left; whole, or not at all.

        blocks: gives the checksums of an encoder's vector file when the old catalog has none.
        """
        with self._database.connect(read_only=False) as connection:
            connection.execute("CHECKPOINT")  # a log beside the old file would be taken for one of the new
        version = self.check()

        def fill(connection: Connection) -> None:
            connection.execute(f"ATTACH {quoted(self._path)} AS old (READ_ONLY)")
            (name,) = connection.execute("SELECT current_database()").fetchall()[0]
            connection.execute(f'COPY FROM DATABASE old TO "{name}"')
            connection.execute("DETACH old")
            for number in range(version, SCHEMA_VERSION):
                connection.execute(MIGRATIONS[number])
            if blocks is not None:
                for row in connection.execute(ENCODER).fetchall():
                    record = EncoderRecord.read(*row)
                    _add_blocks(connection, record.fingerprint, blocks(record))

        self._publish(fill)

    def _publish(self, fill: Callable[[Connection], Any], before: Callable[[], Any] = lambda: None) -> None:
        Path(f"{self._path.with_name(PART)}.wal").unlink(missing_ok=True)
        with written_whole(self._path, "free some space and run the same command again") as part:
            part.unlink(missing_ok=True)
            with Database(part).connect(read_only=False) as connection:
                fill(connection)
                connection.execute("CHECKPOINT")  # all of it is in the file itself, none in a log beside it
            before()

    # -- damage

    def unreadable(self) -> str | None:
        """Read all of the catalog: what cannot be read of it, in words; None when all can."""
        return upkeep.unreadable(self._database)

    def contradictions(self) -> list[str]:
        """Say in words, and with numbers, where rows contradict each other."""
        with self._database.connect(read_only=True) as connection:
            return [text for text, _ in upkeep.contradictions(connection)]

    def settle(self) -> None:
        """Make rows agree that contradict each other; what cannot be decided is left to be encoded again."""
        with self._database.transaction() as connection:
            for _, rule in upkeep.contradictions(connection):
                connection.execute(rule.mend)

    def salvage(self, keep: Callable[[], Any]) -> dict[str, int]:
        """Put a new catalog in the place of a damaged one, with all that can be read of it; returns what is lost, with numbers.

        `keep` is called when the new one is whole, and puts the files of the old one somewhere else, its log above all.
        Raises StoreCorrupt when nothing can be read, DiskError; then all is as before.
        """
        upkeep.columns_of(self._database)
        lost: dict[str, int] = {}

        def fill(connection: Connection) -> None:
            lost.update(upkeep.salvage(self._database, connection))

        self._publish(fill, keep)
        return lost

    def set_blocks(self, encoder: str, blocks: Sequence[Block]) -> None:
        """Take other checksums for the vector file of an encoder."""
        with self._database.transaction() as connection:
            connection.execute("DELETE FROM blocks WHERE encoder = ?", [encoder])
            _add_blocks(connection, encoder, blocks)

    # -- encoders

    def encoders(self) -> list[EncoderRecord]:
        """All encoders of the store, oldest first."""
        with self._database.connect(read_only=True) as connection:
            found = connection.execute(f"{ENCODER} ORDER BY added_at, fingerprint").fetchall()
        return [EncoderRecord.read(*row) for row in found]

    def add_encoder(self, fingerprint: str, name: str, dim: int, card: str) -> None:
        """Make an encoder known, with no rows; one that is known stays as it is."""
        with self._database.transaction() as connection:
            connection.execute(
                """INSERT INTO encoders SELECT $1, $2, $3, 0, $4, now()::TIMESTAMP, $1[:16] || '.f16'
                   WHERE $1 NOT IN (SELECT fingerprint FROM encoders)""",
                [fingerprint, name, dim, card],
            )

    def blocks(self, encoder: str) -> tuple[EncoderRecord, list[Block]]:
        """An encoder as it is now, and the checksums of its vector file, in order."""
        with self._database.connect(read_only=True) as connection:
            [record] = connection.execute(f"{ENCODER} WHERE fingerprint = ?", [encoder]).fetchall()
            found = connection.execute(
                "SELECT first, rows, sha256 FROM blocks WHERE encoder = ? ORDER BY first", [encoder]
            ).fetchall()
        return EncoderRecord.read(*record), [Block(*row) for row in found]

    def publish_vectors(
        self, encoder: str, file: str, rows: NDArray[np.int64], items: NDArray[np.int64], blocks: Sequence[Block]
    ) -> None:
        """Take another vector file for an encoder: its row r is the vector that was row `rows[r]`, of the item `items[r]`."""
        with self._database.transaction() as connection:
            connection.register("moved", pa.table({"old": rows, "item": items, "row": np.arange(len(rows))}))
            connection.execute(
                "CREATE TEMP TABLE kept AS SELECT m.item, v.encoder, m.row, v.sha256 FROM moved m JOIN vectors v ON v.encoder = ? AND v.row = m.old",
                [encoder],
            )
            connection.execute("DELETE FROM vectors WHERE encoder = ?", [encoder])
            connection.execute("INSERT INTO vectors SELECT * FROM kept ORDER BY row")
            connection.execute("DELETE FROM blocks WHERE encoder = ?", [encoder])
            _add_blocks(connection, encoder, blocks)
            connection.execute(
                "UPDATE encoders SET file = ?, rows = ? WHERE fingerprint = ?", [file, len(rows), encoder]
            )

    # -- indexing

    def plan(
        self, encoder: str, found: Spool, several: bool, by_folder: bool, claims: Sequence[Claim], hidden: Sequence[str]
    ) -> Plan:
        """Say what of the files found has to be encoded with `encoder`, and what is gone; see `plan.py`."""
        with self._database.connect(read_only=True) as connection:
            if several:
                found = plan.once(connection, found)
            todo = plan.make_todo(connection, encoder, found, by_folder)
            vanished, forgotten = plan.not_found(connection, found, claims, hidden)
            next_item = connection.execute("SELECT next_item FROM meta").fetchall()[0][0]
            rows, file = connection.execute(
                "SELECT rows, file FROM encoders WHERE fingerprint = ?", [encoder]
            ).fetchall()[0]
        return Plan(todo, found.rows, vanished, forgotten, next_item, rows, file)

    def commit(self, encoder: str, batch: Batch) -> None:
        """Record one batch in one transaction: items with their rows, failures, checksums and the counters.

        A path that succeeds loses its failure; an item whose path fails is removed.
        """
        with self._database.transaction() as connection:
            connection.register("batch", table(batch.changes, CHANGES))
            _record_failures(connection, batch)
            if any(change.new for change in batch.changes):
                connection.execute(
                    """INSERT INTO all_items SELECT id, path, label, split, width, height, bytes, mtime_ns, sha256, now()::TIMESTAMP, NULL
                       FROM batch WHERE new ORDER BY id"""
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

    def remove(self, ids: NDArray[np.int64], gone: Sequence[str]) -> None:
        """Mark items as removed, and forget the failures of paths that are gone."""
        with self._database.transaction() as connection:
            connection.execute(
                "UPDATE all_items SET removed_at = now()::TIMESTAMP WHERE removed_at IS NULL AND id IN (SELECT unnest($1::BIGINT[]))",
                [ids.tolist()],
            )
            connection.execute("DELETE FROM failures WHERE path IN (SELECT unnest($1::TEXT[]))", [list(gone)])

    def delete(self, ids: NDArray[np.int64]) -> None:
        """Forget items and that any encoder has vectors of them."""
        with self._database.transaction() as connection:
            for statement in ("DELETE FROM vectors WHERE item IN", "DELETE FROM all_items WHERE id IN"):
                connection.execute(f"{statement} (SELECT unnest($1::BIGINT[]))", [ids.tolist()])

    # -- reading

    def state(self) -> State:
        """What stays the same as long as the catalog does."""
        return self._database.state()

    def contents(self, encoder: str) -> Contents:
        """Read which items an encoder of the store has vectors of, and in which rows."""
        with self._database.connect(read_only=True) as connection:
            [record] = connection.execute(f"{ENCODER} WHERE fingerprint = ?", [encoder]).fetchall()
            found = connection.sql(
                """SELECT v.row, v.item, i.path, i.label, i.split FROM vectors v JOIN items i ON i.id = v.item AND i.sha256 = v.sha256
                   WHERE v.encoder = ? ORDER BY v.row""",
                params=[encoder],
            ).to_arrow_table()
        rows, ids = (column.to_numpy() for column in found.columns[:2])
        return Contents(EncoderRecord.read(*record), rows, ids, *found.columns[2:])

    def choose(self, where: str, seconds: float = 30.0, vanished: bool = False) -> NDArray[np.int64]:
        """Ids of the items for which `where` holds, one SQL expression over the columns of `items`, ascending.

        vanished: also of items that are marked as removed.

        Raises QueryError when it is no such expression, or takes too long.
        """
        check_expression(where)
        with self._database.guarded(seconds) as connection:
            return np.sort(np.array(chosen(connection, where, vanished), np.int64))

    def details(self, encoder: str) -> Details:
        """All that is known of the items an encoder has vectors of, ascending by row."""
        names = ", ".join(f"i.{field.name}" for field in DETAILS)
        with self._database.connect(read_only=True) as connection:
            [record] = connection.execute(f"{ENCODER} WHERE fingerprint = ?", [encoder]).fetchall()
            rows = spooled(
                connection.sql(
                    f"SELECT v.row, {names} FROM vectors v JOIN items i ON i.id = v.item AND i.sha256 = v.sha256 WHERE v.encoder = ? ORDER BY v.row",
                    params=[encoder],
                ),
                pa.schema([("row", pa.int64()), *DETAILS]),
            )
        return Details(EncoderRecord.read(*record), rows)

    def known(self, encoder: str, paths: Sequence[str]) -> tuple[dict[str, Known], int]:
        """What is known of some paths, and the next item id."""
        with self._database.connect(read_only=True) as connection:
            connection.register("wanted", pa.table({"path": pa.array(paths, pa.string())}))
            found = connection.execute(
                """SELECT i.path, i.id, i.sha256, i.label, i.split, v.row IS NOT NULL AND i.removed_at IS NULL
                   FROM all_items i SEMI JOIN wanted USING (path) LEFT JOIN vectors v ON v.item = i.id AND v.encoder = ? AND v.sha256 = i.sha256""",
                [encoder],
            ).fetchall()
            next_item = connection.execute("SELECT next_item FROM meta").fetchall()[0][0]
        return {row[0]: Known(*row[1:]) for row in found}, next_item

    def failures(self) -> list[tuple[str, str, Any]]:
        """Path, reason and time of every file that could not be used, by path."""
        with self._database.connect(read_only=True) as connection:
            return connection.execute("SELECT path, reason, seen_at FROM failures ORDER BY path").fetchall()

    def counts(self) -> dict[str, Any]:
        """Numbers of items, labelled items, removed items and failures, and items by split and label."""
        with self._database.connect(read_only=True) as connection:
            items, labelled = connection.execute("SELECT count(*), count(label) FROM items").fetchall()[0]
            removed = connection.execute("SELECT count(*) FROM all_items WHERE removed_at IS NOT NULL").fetchall()[0][0]
            failures = connection.execute("SELECT count(*) FROM failures").fetchall()[0][0]
            by_split = "SELECT coalesce(split, '(none)'), count(*) FROM items GROUP BY 1 ORDER BY 1"
            by_label = "SELECT label, count(*) FROM items WHERE label IS NOT NULL GROUP BY 1 ORDER BY 1"
            splits, labels = (dict(connection.execute(text).fetchall()) for text in (by_split, by_label))
        return {
            "items": items, "labelled": labelled, "removed": removed, "failures": failures, "splits": splits, "labels": labels,
        }  # fmt: skip

    def sql(self, text: str, seconds: float) -> pa.Table:
        """Run one read-only statement of a user: no files, no settings, no writing, `seconds` at most. Raises QueryError."""
        with self._database.guarded(seconds) as connection:
            return ask(connection, text)

    # -- labels

    def paths(self) -> set[str]:
        """The paths of all items."""
        with self._database.connect(read_only=True) as connection:
            return {row[0] for row in connection.execute("SELECT path FROM items").fetchall()}

    def set_labels(
        self, paths: Sequence[str], labels: Sequence[str | None], splits: Sequence[str | None] | None
    ) -> None:
        """Set the label, and the split where given, of items by path."""
        columns = {"path": pa.array(paths, pa.string()), "label": pa.array(labels, pa.string())}
        columns["split"] = pa.array(splits if splits is not None else [None] * len(paths), pa.string())
        with self._database.transaction() as connection:
            connection.register("given", pa.table(columns))
            also_split = ", split = given.split" if splits is not None else ""
            connection.execute(
                f"UPDATE all_items SET label = given.label{also_split} FROM given WHERE all_items.path = given.path AND removed_at IS NULL"
            )


def _record_failures(connection: Connection, batch: Batch) -> None:
    failures = [*batch.failures, *batch.unencoded]
    columns = {"path": pa.string(), "reason": pa.string(), "unreadable": pa.bool_()}
    rows = [(*failure, n < len(batch.failures)) for n, failure in enumerate(failures)]
    values = list(zip(*rows, strict=True)) or [(), (), ()]
    connection.register(
        "failed", pa.table([pa.array(v, t) for v, t in zip(values, columns.values(), strict=True)], list(columns))
    )
    connection.execute("DELETE FROM failures WHERE path IN (SELECT path FROM batch UNION ALL SELECT path FROM failed)")
    if failures:
        connection.execute("INSERT INTO failures SELECT path, reason, now()::TIMESTAMP FROM failed")
        connection.execute(
            """UPDATE all_items SET removed_at = now()::TIMESTAMP
               WHERE removed_at IS NULL AND path IN (SELECT path FROM failed WHERE unreadable)"""
        )


def _add_blocks(connection: Connection, encoder: str, blocks: Sequence[Block]) -> None:
    connection.register("new_blocks", table(blocks, BLOCKS))
    connection.execute("INSERT INTO blocks SELECT ?, first, rows, sha256 FROM new_blocks ORDER BY first", [encoder])
