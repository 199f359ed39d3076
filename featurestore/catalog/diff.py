"""What a run of `index` has to do: the files found in the sources, against the items that are known."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurestore.catalog.connection import Connection
from featurestore.catalog.records import table
from featurestore.system.spool import BATCH_ROWS, Spool

FOUND = pa.schema([
    ("place", pa.int64()), ("path", pa.string()), ("label", pa.string()), ("split", pa.string()), ("size", pa.int64()), ("mtime_ns", pa.int64()),
])  # fmt: skip


@dataclass(frozen=True, slots=True)
class Claim:
    """What a source lists in full: a path like this that it does not list is gone."""

    prefix: str
    within_containers: bool  # only places within containers, or only files


@dataclass(frozen=True, slots=True)
class Todo:
    """A file that needs something done: read, or only labelled anew."""

    path: str
    label: str | None  # as the source says
    split: str | None
    size: int
    mtime_ns: int
    id: int | None  # of the item, when the path is known
    sha256: str | None  # of the content it is known by
    known_label: str | None
    known_split: str | None
    removed: bool
    encoded: bool  # the encoder has a vector of that content
    unchanged: bool


TODO = pa.schema([
    *list(FOUND)[1:], ("id", pa.int64()), ("sha256", pa.string()), ("known_label", pa.string()), ("known_split", pa.string()),
    ("removed", pa.bool_()), ("encoded", pa.bool_()), ("unchanged", pa.bool_()),
])  # fmt: skip


@dataclass(frozen=True)
class Plan:
    """All that a run of `index` needs to know of the catalog; the store's only writer may rely on it until its end."""

    todo: Spool
    total: int  # files found, each path once
    vanished: NDArray[np.int64]  # ids of items of these sources that were not found
    forgotten: list[str]  # paths with a failure that were not found
    next_item: int
    rows: int  # of the vector file that count
    file: str  # its name

    def __iter__(self) -> Iterator[Todo]:
        for batch in self.todo.reader():
            for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
                yield Todo(*row)


def make_todo(connection: Connection, encoder: str, found: Spool, by_folder: bool) -> Spool:
    """Give the files that are not as they were: rows of TODO, in the order of `found`.

    A file is unchanged when the encoder has a vector of its content, and size and time are those of then.
    """
    connection.register("found", found.reader())
    relabelled = "OR i.label IS DISTINCT FROM f.label OR i.split IS DISTINCT FROM f.split" if by_folder else ""
    compared = connection.sql(
        f"""SELECT f.* EXCLUDE (place), i.id, i.sha256, i.label, i.split, i.removed_at IS NOT NULL, v.row IS NOT NULL,
                v.row IS NOT NULL AND i.removed_at IS NULL AND i.bytes = f.size AND i.mtime_ns = f.mtime_ns AS unchanged
            FROM found f LEFT JOIN all_items i ON i.path = f.path
            LEFT JOIN vectors v ON v.item = i.id AND v.encoder = $1 AND v.sha256 = i.sha256
            WHERE NOT coalesce(unchanged, false) {relabelled} ORDER BY f.place""",
        params=[encoder],
    )
    return spooled(compared, TODO)


def once(connection: Connection, found: Spool) -> Spool:
    """Leave out all but the first of each path."""
    connection.register("found", found.reader())
    return spooled(
        connection.sql(
            "SELECT * FROM found QUALIFY row_number() OVER (PARTITION BY path ORDER BY place) = 1 ORDER BY place"
        ),
        FOUND,
    )


def not_found(
    connection: Connection, found: Spool, claims: Sequence[Claim], hidden: Sequence[str], container: str
) -> tuple[NDArray[np.int64], list[str]]:
    """Give the ids of items, and the paths with failures, that are claimed, were not found, and lie in no hidden place.

    container: the pattern of a container's suffix, behind which "::" leads into it.
    """
    connection.register("found", found.reader())
    connection.register("claims", table(claims, {"prefix": pa.string(), "within_containers": pa.bool_()}))
    connection.register("hidden", pa.table({"prefix": pa.array(hidden, pa.string())}))
    rows = connection.execute(
        """SELECT k.id, k.path FROM (SELECT id, path FROM items UNION ALL SELECT NULL, path FROM failures) k
           WHERE EXISTS (
               SELECT 1 FROM claims WHERE starts_with(k.path, prefix) AND regexp_matches(k.path, $1 || '::', 'i') = within_containers
           ) AND k.path NOT IN (SELECT path FROM found)
           AND NOT EXISTS (SELECT 1 FROM hidden WHERE k.path = prefix OR starts_with(k.path, prefix || '/'))""",
        [container],
    ).fetchall()
    return np.array([row[0] for row in rows if row[0] is not None], np.int64), [r[1] for r in rows if r[0] is None]


def spooled(relation: Any, schema: pa.Schema) -> Spool:
    """Take the answer to a query out of the connection."""
    spool = Spool(schema)
    for batch in relation.to_arrow_reader(BATCH_ROWS):
        spool.add_batch(
            pa.record_batch([c.cast(f.type) for c, f in zip(batch.columns, schema, strict=True)], schema=schema)
        )
    return spool
