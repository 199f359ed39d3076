"""The catalog: items, labels, encoders and which row belongs to which item. Every line of SQL, the only import of duckdb.

A connection lives as long as a transaction, so that several processes share a store. There are no keys and no secondary
indexes: one writer at a time keeps ids and paths unique, and tables ordered by id are searched by their zone maps.
"""

import json
import re
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurestore.errors import (
    DiskError,
    EncoderNotInStore,
    QueryError,
    StoreBusy,
    StoreCorrupt,
    StoreError,
    StoreNotFound,
)

SCHEMA_VERSION = 1
PART = "catalog.part"  # its name until it is whole
BUSY_SECONDS = 10.0  # how long a held catalog is waited for
Settings = dict[str, str | bool | int | float | list[str]]
SETTINGS: Settings = {
    "memory_limit": "2GB",
    "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}
GUARDED: Settings = {
    **SETTINGS,
    "enable_external_access": "false",
    "lock_configuration": "true",
}  # for SQL that users write

SCHEMA = """
CREATE TABLE meta (schema_version INTEGER, next_item BIGINT);
CREATE TABLE all_items (
    id BIGINT,            -- never reused
    path TEXT,            -- absolute; one item a path
    label TEXT, split TEXT,
    width INTEGER, height INTEGER,
    bytes BIGINT, mtime_ns BIGINT, sha256 TEXT,
    added_at TIMESTAMP,
    removed_at TIMESTAMP  -- set when the file vanished or can no longer be read
);
CREATE VIEW items AS SELECT * EXCLUDE (removed_at) FROM all_items WHERE removed_at IS NULL;
CREATE TABLE encoders (fingerprint TEXT, name TEXT, dim INTEGER, rows BIGINT, card TEXT, added_at TIMESTAMP);
CREATE TABLE vectors (item BIGINT, encoder TEXT, row BIGINT, sha256 TEXT);  -- sha256: the content that was encoded
CREATE TABLE failures (path TEXT, reason TEXT, seen_at TIMESTAMP);
"""


@dataclass(frozen=True, slots=True)
class EncoderRecord:
    """An encoder the store holds vectors of."""

    fingerprint: str
    name: str
    dim: int
    rows: int  # of its vector file that count
    card: dict[str, Any]


@dataclass(frozen=True, slots=True)
class KnownFile:
    """What the catalog knows of a path, seen by one encoder."""

    id: int
    bytes: int
    mtime_ns: int
    sha256: str
    label: str | None
    split: str | None
    removed: bool
    encoded: bool  # its vector is that of this content


@dataclass(frozen=True, slots=True)
class ItemChange:
    """An item as a batch of indexing found it; `row` is None when the vector it has stays right."""

    id: int
    new: bool
    path: str
    label: str | None
    split: str | None
    width: int | None
    height: int | None
    bytes: int
    mtime_ns: int
    sha256: str | None
    row: int | None


class Catalog:
    """The DuckDB file of a store."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._one_at_a_time = threading.RLock()

    # -- connections

    @contextmanager
    def _connect(self, read_only: bool, settings: Settings = SETTINGS) -> Iterator[duckdb.DuckDBPyConnection]:
        with self._one_at_a_time:
            connection = self._open(read_only, settings)
            try:
                yield connection
            except duckdb.Error as error:
                raise self._named(error) from error
            finally:
                connection.close()

    def _open(self, read_only: bool, settings: Settings) -> duckdb.DuckDBPyConnection:
        if read_only and not self._path.exists():
            raise StoreNotFound(f"{self._path}: expected a store, found nothing there; index some images first")
        deadline, pause = time.monotonic() + BUSY_SECONDS, 0.005
        while True:
            try:
                return duckdb.connect(str(self._path), read_only=read_only, config=dict(settings))
            except (duckdb.IOException, duckdb.ConnectionException) as error:
                text = str(error)
                if "Could not set lock" not in text and "different configuration" not in text:
                    raise self._named(error) from error
                if time.monotonic() > deadline:
                    holder = re.search(r"PID (\d+)", text)
                    who = f"process {holder[1]}" if holder else "another process"
                    raise StoreBusy(
                        f"{self._path} is held by {who} for more than {BUSY_SECONDS:.0f} s; wait for it or end it, then try again"
                    ) from error
                time.sleep(pause)
                pause = min(2 * pause, 0.2)
            except duckdb.Error as error:
                raise self._named(error) from error

    def _named(self, error: duckdb.Error) -> StoreError:
        """Name an error of DuckDB by what can be done about it."""
        first = str(error).splitlines()[0]
        if "Permission denied" in first or "Read-only" in first:
            return DiskError(f"{self._path} cannot be opened: {first}; check its permissions")
        if "Could not write" in first or "No space left" in first:
            return DiskError(
                f"{self._path} could not be written ({first}); what was indexed before is kept: free some space and run the same command again"
            )
        if isinstance(error, duckdb.OutOfMemoryException):
            return StoreError(f"{self._path}: not enough memory ({first}); end other programs, then try again")
        return StoreCorrupt(
            f"{self._path} cannot be read as a catalog: {first}; restore it from a backup, or index into a new store"
        )

    @contextmanager
    def _transaction(self) -> Iterator[duckdb.DuckDBPyConnection]:
        with self._connect(read_only=False) as connection:
            connection.begin()
            yield connection
            connection.commit()

    # -- schema

    def check(self) -> None:
        """Raise StoreError when the catalog, if there is one, is of a newer featurestore, StoreCorrupt when it is something else."""
        if not self._path.exists():
            return
        with self._connect(read_only=True) as connection:
            version = self._schema_version(connection)
        if version == 0:
            raise StoreCorrupt(
                f"{self._path}: expected a catalog of featurestore, found a database without its tables; index into a new store"
            )
        if version > SCHEMA_VERSION:
            raise StoreError(
                f"{self._path} has schema {version}, this featurestore knows up to {SCHEMA_VERSION}; upgrade featurestore"
            )

    def create(self) -> None:
        """Create the catalog, when it is not there: whole, or not at all."""
        if self._path.exists():
            return
        part = self._path.with_name(PART)
        part.unlink(missing_ok=True)
        with Catalog(part)._connect(read_only=False) as connection:
            connection.execute(SCHEMA)
            connection.execute("INSERT INTO meta VALUES (?, 1)", [SCHEMA_VERSION])
            connection.execute("CHECKPOINT")  # all of it is in the file itself, none in a log beside it
        part.replace(self._path)

    def _schema_version(self, connection: duckdb.DuckDBPyConnection) -> int:
        """The version of the schema; 0 when there is none."""
        if not connection.execute("SELECT 1 FROM duckdb_tables() WHERE table_name = 'meta'").fetchall():
            return 0
        return int(connection.execute("SELECT schema_version FROM meta").fetchall()[0][0])

    # -- encoders

    def encoders(self) -> list[EncoderRecord]:
        """All encoders of the store, oldest first."""
        with self._connect(read_only=True) as connection:
            found = connection.execute(
                "SELECT fingerprint, name, dim, rows, card FROM encoders ORDER BY added_at, fingerprint"
            ).fetchall()
        return [EncoderRecord(row[0], row[1], row[2], row[3], json.loads(row[4])) for row in found]

    def add_encoder(self, fingerprint: str, name: str, dim: int, card: str) -> None:
        """Make an encoder known, with no rows; one that is known stays as it is."""
        with self._transaction() as connection:
            connection.execute(
                "INSERT INTO encoders SELECT $1, $2, $3, 0, $4, now()::TIMESTAMP WHERE $1 NOT IN (SELECT fingerprint FROM encoders)",
                [fingerprint, name, dim, card],
            )

    # -- indexing

    def known_files(self, encoder: str) -> tuple[dict[str, KnownFile], int, int]:
        """What is known of every path ever seen, the next item id, and the rows that count for `encoder`."""
        with self._connect(read_only=True) as connection:
            found = connection.execute(
                """SELECT i.path, i.id, i.bytes, i.mtime_ns, i.sha256, i.label, i.split, i.removed_at IS NOT NULL, v.row IS NOT NULL
                   FROM all_items i LEFT JOIN vectors v ON v.item = i.id AND v.encoder = ? AND v.sha256 = i.sha256""",
                [encoder],
            ).fetchall()
            next_item = connection.execute("SELECT next_item FROM meta").fetchall()[0][0]
            rows = connection.execute("SELECT rows FROM encoders WHERE fingerprint = ?", [encoder]).fetchall()
        return {row[0]: KnownFile(*row[1:]) for row in found}, next_item, rows[0][0] if rows else 0

    def commit(
        self,
        encoder: str,
        changes: Sequence[ItemChange],
        failures: Sequence[tuple[str, str]],
        next_item: int,
        rows: int,
    ) -> None:
        """Record one batch in one transaction: items with their rows, failures, and the counters.

        A path that succeeds loses its failure; an item whose path fails is removed.
        """
        batch = _table(
            changes, id=pa.int64(), new=pa.bool_(), path=pa.string(), label=pa.string(), split=pa.string(), width=pa.int32(), height=pa.int32(),
            bytes=pa.int64(), mtime_ns=pa.int64(), sha256=pa.string(), row=pa.int64(),
        )  # fmt: skip
        failed = pa.table(
            {
                "path": pa.array([f[0] for f in failures], pa.string()),
                "reason": pa.array([f[1] for f in failures], pa.string()),
            }
        )
        with self._transaction() as connection:
            connection.register("batch", batch)
            connection.register("failed", failed)
            connection.execute(
                "DELETE FROM failures WHERE path IN (SELECT path FROM batch UNION ALL SELECT path FROM failed)"
            )
            connection.execute("INSERT INTO failures SELECT path, reason, now()::TIMESTAMP FROM failed")
            connection.execute(
                "UPDATE all_items SET removed_at = now()::TIMESTAMP WHERE removed_at IS NULL AND path IN (SELECT path FROM failed)"
            )
            connection.execute(
                """INSERT INTO all_items SELECT id, path, label, split, width, height, bytes, mtime_ns, sha256, now()::TIMESTAMP, NULL
                   FROM batch WHERE new ORDER BY id"""
            )
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
            connection.execute("UPDATE encoders SET rows = ? WHERE fingerprint = ?", [rows, encoder])
            connection.execute("UPDATE meta SET next_item = ?", [next_item])

    def remove(self, ids: Sequence[int], gone: Sequence[str]) -> None:
        """Mark items as removed, and forget the failures of paths that are gone."""
        with self._transaction() as connection:
            connection.execute(
                "UPDATE all_items SET removed_at = now()::TIMESTAMP WHERE removed_at IS NULL AND id IN (SELECT unnest($1::BIGINT[]))",
                [list(ids)],
            )
            connection.execute("DELETE FROM failures WHERE path IN (SELECT unnest($1::TEXT[]))", [list(gone)])

    # -- reading

    def rows(
        self, encoder: str, where: str | None = None, seconds: float = 30.0
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], int]:
        """Rows and ids of the items that `encoder` has vectors of, ascending by row, and the rows that count.

        `where` is one SQL expression over the columns of `items`. Raises QueryError when it is not, or takes too long.
        """
        if where is not None:
            check_expression(where)
        with self._guarded(seconds) as connection:
            chosen = ""
            values: list[Any] = [encoder]
            if where is not None:
                values.append(_chosen(connection, where))
                chosen = "AND v.item IN (SELECT unnest($2::BIGINT[]))"
            found = connection.execute(
                f"""SELECT v.row, v.item FROM vectors v JOIN all_items i ON i.id = v.item AND i.sha256 = v.sha256
                    WHERE v.encoder = $1 AND i.removed_at IS NULL {chosen} ORDER BY v.row""",
                values,
            ).fetchnumpy()
            counted = connection.execute("SELECT rows FROM encoders WHERE fingerprint = ?", [encoder]).fetchall()
        return np.asarray(found["row"], np.int64), np.asarray(found["item"], np.int64), counted[0][0] if counted else 0

    def describe(self, ids: NDArray[np.int64]) -> list[tuple[str, str | None, str | None]]:
        """Path, label and split of items, in the order of `ids`."""
        with self._connect(read_only=True) as connection:
            return connection.execute(
                """SELECT i.path, i.label, i.split FROM unnest($1::BIGINT[]) WITH ORDINALITY AS wanted(id, place)
                   JOIN all_items i ON i.id = wanted.id ORDER BY wanted.place""",
                [ids.tolist()],
            ).fetchall()

    def failures(self) -> list[tuple[str, str, Any]]:
        """Path, reason and time of every file that could not be used, by path."""
        with self._connect(read_only=True) as connection:
            return connection.execute("SELECT path, reason, seen_at FROM failures ORDER BY path").fetchall()

    def counts(self) -> dict[str, Any]:
        """Numbers of items, labelled items, removed items and failures, and items by split and label."""
        with self._connect(read_only=True) as connection:
            items, labelled = connection.execute("SELECT count(*), count(label) FROM items").fetchall()[0]
            removed = connection.execute("SELECT count(*) FROM all_items WHERE removed_at IS NOT NULL").fetchall()[0][0]
            failures = connection.execute("SELECT count(*) FROM failures").fetchall()[0][0]
            splits = dict(
                connection.execute(
                    "SELECT coalesce(split, '(none)'), count(*) FROM items GROUP BY 1 ORDER BY 1"
                ).fetchall()
            )
            labels = dict(
                connection.execute(
                    "SELECT label, count(*) FROM items WHERE label IS NOT NULL GROUP BY 1 ORDER BY 1"
                ).fetchall()
            )
        return {
            "items": items,
            "labelled": labelled,
            "removed": removed,
            "failures": failures,
            "splits": splits,
            "labels": labels,
        }

    # -- labels

    def paths(self) -> set[str]:
        """The paths of all items."""
        with self._connect(read_only=True) as connection:
            return {row[0] for row in connection.execute("SELECT path FROM items").fetchall()}

    def set_labels(
        self, paths: Sequence[str], labels: Sequence[str | None], splits: Sequence[str | None] | None
    ) -> None:
        """Set the label, and the split where given, of items by path."""
        columns = {"path": pa.array(paths, pa.string()), "label": pa.array(labels, pa.string())}
        columns["split"] = pa.array(splits if splits is not None else [None] * len(paths), pa.string())
        with self._transaction() as connection:
            connection.register("given", pa.table(columns))
            also_split = ", split = given.split" if splits is not None else ""
            connection.execute(
                f"UPDATE all_items SET label = given.label{also_split} FROM given WHERE all_items.path = given.path AND removed_at IS NULL"
            )

    # -- SQL of users

    def sql(self, text: str, seconds: float) -> pa.Table:
        """Run one read-only statement of a user: no files, no settings, no writing, `seconds` at most. Raises QueryError."""
        with self._guarded(seconds) as connection:
            if len(connection.extract_statements(text)) != 1:
                raise QueryError(f"SQL {text!r}: expected one statement")
            relation = connection.sql(text)
            if relation is None:
                raise QueryError(f"SQL {text!r}: expected a statement that returns rows, such as SELECT")
            return relation.to_arrow_table()

    @contextmanager
    def _guarded(self, seconds: float) -> Iterator[duckdb.DuckDBPyConnection]:
        with self._connect(read_only=True, settings=GUARDED) as connection:
            timer = threading.Timer(seconds, connection.interrupt)
            timer.start()
            try:
                yield connection
            except duckdb.InterruptException as error:
                raise QueryError(
                    f"the SQL took more than {seconds:g} s and was stopped; ask for less, or allow more time"
                ) from error
            except duckdb.Error as error:
                if _is_damage(error):
                    raise
                raise QueryError(f"SQL refused: {' '.join(str(error).split())[:300]}") from error
            finally:
                timer.cancel()


def check_expression(where: str) -> None:
    """Raise QueryError unless `where` is exactly one SQL expression."""
    with duckdb.connect(config=GUARDED) as parser:
        answer = parser.execute("SELECT json_serialize_sql($1::TEXT)", [f"SELECT 1 WHERE {where}\n"]).fetchall()[0][0]
    tree = json.loads(answer)
    hint = "expected one expression over the columns of items, such as label = 'rose' AND width > 100"
    if tree["error"]:
        raise QueryError(f"where {where!r}: {tree['error_message']}; {hint}")
    statement = tree["statements"][0] if len(tree["statements"]) == 1 else {}
    node = statement.get("node", {})
    clauses = ("modifiers", "group_expressions", "group_sets", "having", "qualify", "sample")
    plain = (
        node.get("type") == "SELECT_NODE"
        and node.get("aggregate_handling") == "STANDARD_HANDLING"
        and not any(node.get(c) for c in clauses)
    )
    if not plain or not node.get("where_clause"):
        raise QueryError(f"where {where!r}: found more than an expression; {hint}")


def _is_damage(error: duckdb.Error) -> bool:
    """Whether an error is the fault of the catalog's file and not of the SQL."""
    return isinstance(error, duckdb.IOException) or "Corrupt database file" in str(error)


def _chosen(connection: duckdb.DuckDBPyConnection, where: str) -> list[int]:
    try:
        found = connection.execute(f"SELECT id FROM items WHERE {where}\n").fetchall()
    except duckdb.Error as error:
        if isinstance(error, duckdb.InterruptException) or _is_damage(error):
            raise
        raise QueryError(f"where {where!r}: {str(error).splitlines()[0]}") from error
    return [row[0] for row in found]


def no_such_encoder(wanted: str | None, held: Sequence[EncoderRecord]) -> EncoderNotInStore:
    """Say which encoders a store holds vectors of, when the wanted one is missing or none was named."""
    names = ", ".join(f"{record.name} ({record.rows} vectors)" for record in held) or "none"
    if wanted is None and not held:
        return EncoderNotInStore(
            "the store holds no vectors yet; index some images first: featurestore index STORE SOURCE --encoder encoder.onnx"
        )
    if wanted is None:
        return EncoderNotInStore(
            f"the store holds vectors of {len(held)} encoders, which never mix: {names}; name one by --encoder"
        )
    return EncoderNotInStore(
        f"encoder {wanted!r} has made no vectors of this store, which holds: {names}; name one of these, or index with that encoder first"
    )


def _table(rows: Iterable[Any], **types: pa.DataType) -> pa.Table:
    rows = list(rows)
    return pa.table({name: pa.array([getattr(row, name) for row in rows], kind) for name, kind in types.items()})
