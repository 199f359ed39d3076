"""What the catalog tells, each function within its caller's connection."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurestore.catalog.columns import quoted_name, user_columns
from featurestore.catalog.connection import Connection
from featurestore.catalog.diff import spooled
from featurestore.catalog.records import DETAILS, EncoderRecord, IndexRecord, Known
from featurestore.system.checksums import Block
from featurestore.system.spool import Spool

ENCODER = "SELECT fingerprint, name, dim, rows, file, card FROM encoders"
INDEX = "SELECT encoder, generation, file, vectors, rows, bytes, sha256, card FROM indexes"
VALID = "i.id = v.item AND i.sha256 = v.sha256"  # of an item and a vector: the content is still what was encoded


@dataclass(frozen=True, slots=True)
class Contents:
    """The items that one encoder has vectors of, ascending by row: N of them, at one moment."""

    encoder: EncoderRecord
    rows: NDArray[np.int64]
    ids: NDArray[np.int64]
    paths: pa.LargeStringArray
    labels: pa.LargeStringArray
    splits: pa.LargeStringArray


@dataclass(frozen=True, slots=True)
class Details:
    """All that is known of the items of one encoder, at one moment."""

    encoder: EncoderRecord
    rows: Spool  # the row, DETAILS, then the user's columns


def encoders(connection: Connection) -> list[EncoderRecord]:
    """All encoders of the store, oldest first."""
    return [
        EncoderRecord.read(*row) for row in connection.execute(f"{ENCODER} ORDER BY added_at, fingerprint").fetchall()
    ]


def encoder_record(connection: Connection, encoder: str) -> EncoderRecord:
    """An encoder of the store as it is now."""
    [found] = connection.execute(f"{ENCODER} WHERE fingerprint = ?", [encoder]).fetchall()
    return EncoderRecord.read(*found)


def indexes(connection: Connection) -> list[IndexRecord]:
    """The indexes of all encoders that have one."""
    return [IndexRecord.read(*row) for row in connection.execute(f"{INDEX} ORDER BY encoder").fetchall()]


def blocks(connection: Connection, encoder: str) -> list[Block]:
    """The checksums of an encoder's vector file, in order."""
    found = connection.execute("SELECT first, rows, sha256 FROM blocks WHERE encoder = ? ORDER BY first", [encoder])
    return [Block(*row) for row in found.fetchall()]


def contents(connection: Connection, encoder: str) -> Contents:
    """Which items an encoder has vectors of, and in which rows."""
    found = connection.sql(
        f"""SELECT v.row, v.item, i.path, i.label, i.split FROM vectors v JOIN items i ON {VALID}
            WHERE v.encoder = ? ORDER BY v.row""",
        params=[encoder],
    ).to_arrow_table()
    rows, ids = (column.to_numpy() for column in found.columns[:2])
    texts = [
        column.cast(pa.large_string()).combine_chunks() for column in found.columns[2:]
    ]  # in one piece: quick to look up in
    return Contents(encoder_record(connection, encoder), rows, ids, *texts)


def placed(connection: Connection, encoder: str) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows that count, ascending, and the ids of their items."""
    found = connection.sql(
        f"SELECT v.row, v.item FROM vectors v JOIN items i ON {VALID} WHERE v.encoder = ? ORDER BY v.row",
        params=[encoder],
    ).to_arrow_table()
    return found["row"].to_numpy(), found["item"].to_numpy()


def details(connection: Connection, encoder: str) -> Details:
    """All that is known of the items an encoder has vectors of, ascending by row."""
    schema = pa.schema([("row", pa.int64()), *DETAILS, *user_columns(connection).items()])
    names = ", ".join(f"i.{quoted_name(name)}" for name in schema.names[1:])
    found = connection.sql(
        f"SELECT v.row, {names} FROM vectors v JOIN items i ON {VALID} WHERE v.encoder = ? ORDER BY v.row",
        params=[encoder],
    )
    return Details(encoder_record(connection, encoder), spooled(found, schema))


def hits(connection: Connection, encoder: str, rows: NDArray[np.int64]) -> pa.Table:
    """The items of some rows, in any order: row, id, path, label; rows of items that are not there any more are missing."""
    return _found(connection, encoder, "row", rows)


def rows_of(connection: Connection, encoder: str, ids: NDArray[np.int64]) -> pa.Table:
    """The rows of some items, in any order: id, row, path; items that are not there, or without a vector, are missing."""
    return _found(connection, encoder, "item", ids).select(["id", "row", "path"])


def _found(connection: Connection, encoder: str, column: str, keys: NDArray[np.int64]) -> pa.Table:
    """Compare contents last: a join by them as well would read all of the tables instead of the blocks that hold the keys."""
    connection.register("wanted", pa.table({"key": keys}))
    table = connection.sql(
        f"""SELECT v.row, i.id, i.path, i.label, i.sha256 = v.sha256 AS valid
            FROM wanted JOIN vectors v ON v.{column} = wanted.key JOIN items i ON i.id = v.item WHERE v.encoder = ?""",
        params=[encoder],
    ).to_arrow_table()
    return table.filter(table["valid"]).drop_columns("valid")


def where_sql(where: str, vanished: bool) -> str:
    """Ask for the ids of the items, perhaps with those that vanished, for which an expression holds that was checked."""
    return f"SELECT id FROM {'all_items AS items' if vanished else 'items'} WHERE {where}\nORDER BY id"


def allowed_sql(encoder: str, where: str) -> str:
    """Ask for the rows of the items for which an expression holds that was checked."""
    return f"""WITH chosen AS (SELECT id, sha256 FROM items WHERE {where}
        ) SELECT v.row FROM vectors v JOIN chosen i ON {VALID} WHERE v.encoder = '{encoder}' ORDER BY v.row"""


def known(connection: Connection, encoder: str, paths: Sequence[str]) -> tuple[dict[str, Known], int]:
    """What is known of some paths, and the next item id."""
    connection.register("wanted", pa.table({"path": pa.array(paths, pa.string())}))
    found = connection.execute(
        """SELECT i.path, i.id, i.sha256, i.label, i.split, v.row IS NOT NULL AND i.removed_at IS NULL
           FROM all_items i SEMI JOIN wanted USING (path) LEFT JOIN vectors v ON v.item = i.id AND v.encoder = ? AND v.sha256 = i.sha256""",
        [encoder],
    ).fetchall()
    return {row[0]: Known(*row[1:]) for row in found}, next_item(connection)


def next_item(connection: Connection) -> int:
    """The id that the next new item gets."""
    return int(connection.execute("SELECT next_item FROM meta").fetchall()[0][0])


def counts(connection: Connection) -> dict[str, Any]:
    """Numbers of items, labelled items, removed items and failures, items by split and label, and the types of the user's columns."""
    items, labelled = connection.execute("SELECT count(*), count(label) FROM items").fetchall()[0]
    removed = connection.execute("SELECT count(*) FROM all_items WHERE removed_at IS NOT NULL").fetchall()[0][0]
    failures = connection.execute("SELECT count(*) FROM failures").fetchall()[0][0]
    by_split = "SELECT coalesce(split, '(none)'), count(*) FROM items GROUP BY 1 ORDER BY 1"
    by_label = "SELECT label, count(*) FROM items WHERE label IS NOT NULL GROUP BY 1 ORDER BY 1"
    splits, labels = (dict(connection.execute(text).fetchall()) for text in (by_split, by_label))
    columns = {name: str(kind) for name, kind in user_columns(connection).items()}
    return {
        "items": items, "labelled": labelled, "removed": removed, "failures": failures, "splits": splits, "labels": labels,
        "columns": columns,
    }  # fmt: skip
