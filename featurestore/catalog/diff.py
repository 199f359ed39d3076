"""The difference between the files found in the sources and the items of the catalog."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurestore.catalog.engine import Connection
from featurestore.catalog.labels import COLUMNS, differs, given, may_replace
from featurestore.catalog.moves import LostItems
from featurestore.catalog.records import spooled, table
from featurestore.system.spool import Spool

FOUND = pa.schema([
    ("place", pa.int64()), ("path", pa.string()), ("label", pa.string()), ("labels", pa.list_(pa.string())), ("split", pa.string()),
    ("size", pa.int64()), ("mtime_ns", pa.int64()),
])  # fmt: skip

NOT_DELETED = "f.path NOT IN (SELECT path FROM deleted WHERE path IS NOT NULL)"
FOLDER = "'folder'"  # in SQL, the source of the labels that ingest finds


@dataclass(frozen=True, slots=True)
class Scope:
    """What a source lists completely: an item whose path begins like this and that is not listed is gone."""

    prefix: str
    within_containers: bool  # only places within containers, or only files


@dataclass(frozen=True, slots=True)
class FileToIngest:
    """A file that has to be read, or whose item only gets another label."""

    path: str
    label: str | None  # from the source
    labels: list[str] | None  # when it has several
    split: str | None
    size: int
    mtime_ns: int
    id: int | None  # of the item, when the path is known
    sha256: str | None  # of the content that the catalog knows
    removed: bool
    encoded: bool  # the encoder has a vector of that content
    unchanged: bool


TO_INGEST = pa.schema([
    *list(FOUND)[1:], ("id", pa.int64()), ("sha256", pa.string()),
    ("removed", pa.bool_()), ("encoded", pa.bool_()), ("unchanged", pa.bool_()),
])  # fmt: skip


@dataclass(frozen=True)
class Diff:
    """Everything that one run of ingest needs from the catalog. It stays true to the end, because there is one writer only."""

    todo: Spool  # rows of TO_INGEST
    total: int  # files found, each path once
    removed: NDArray[np.int64]  # ids of items of these sources that were not found
    gone_failures: list[str]  # paths with a failure that were not found
    next_item: int
    rows: int  # of the vector file, committed
    file: str  # name of the vector file
    change: int  # number for labels that this run replaces
    labels_kept: int  # items without a file in `todo`, with a label that the folders must not replace
    deleted: int  # files whose items were deleted, which are passed over
    deleted_hashes: frozenset[str]  # of contents that are passed over, too
    lost: LostItems  # that new files may turn out to be


def files_to_ingest(rows: Spool) -> Iterator[FileToIngest]:
    """Read rows of TO_INGEST."""
    for batch in rows.reader():
        for row in zip(*(column.to_pylist() for column in batch.columns), strict=True):
            yield FileToIngest(*row)


def to_ingest(connection: Connection, encoder: str, found: Spool, by_folder: bool, include_deleted: bool) -> Spool:
    """Give the files that changed, as rows of TO_INGEST in the order of `found`.

    A file is unchanged when the encoder has a vector of its content, and size and time are still the same. Files whose items were
    deleted are left out unless `include_deleted`.
    """
    connection.register("found", found.reader())
    relabelled = (
        "".join(f" OR {_relabels(kind)} AND {may_replace(kind, FOLDER)}" for kind in COLUMNS) if by_folder else ""
    )
    compared = connection.sql(
        f"""SELECT f.* EXCLUDE (place), i.id, i.sha256, i.removed_at IS NOT NULL, v.row IS NOT NULL,
                v.row IS NOT NULL AND i.removed_at IS NULL AND i.bytes = f.size AND i.mtime_ns = f.mtime_ns AS unchanged
            FROM found f LEFT JOIN all_items i ON i.path = f.path
            LEFT JOIN vectors v ON v.item = i.id AND v.encoder = $1 AND v.sha256 = i.sha256
            WHERE (NOT coalesce(unchanged, false) {relabelled}) AND {"true" if include_deleted else NOT_DELETED} ORDER BY f.place""",
        params=[encoder],
    )
    return spooled(compared, TO_INGEST)


def deleted_files(connection: Connection, found: Spool) -> tuple[int, frozenset[str]]:
    """Count the files whose items were deleted, and give the hashes of all deleted contents."""
    if not connection.execute("SELECT 1 FROM deleted LIMIT 1").fetchall():  # most stores; what follows reads all items
        return 0, frozenset()
    connection.register("found", found.reader())
    [(files,)] = connection.execute(f"SELECT count(*) FROM found f WHERE NOT {NOT_DELETED}").fetchall()
    return int(files), deleted_hashes(connection)


def deleted_hashes(connection: Connection) -> frozenset[str]:
    """Give the hashes of deleted contents that no item has."""
    found = connection.execute(
        "SELECT DISTINCT sha256 FROM deleted WHERE sha256 NOT IN (SELECT sha256 FROM items WHERE sha256 IS NOT NULL)"
    )
    return frozenset(row[0] for row in found.fetchall())


def kept_labels(connection: Connection, found: Spool, todo: Spool) -> int:
    """Count the items whose label differs from the folder's, which must not replace it; those of `todo` are counted when they are recorded."""
    connection.register("found", found.reader())
    connection.register("todo", todo.reader())
    condition = f"{_relabels('label')} AND NOT {may_replace('label', FOLDER)} AND path NOT IN (SELECT path FROM todo)"
    text = f"SELECT count(*) FROM found f JOIN all_items i USING (path) WHERE {condition}"
    return int(connection.execute(text).fetchall()[0][0])


def _relabels(kind: str) -> str:
    """Say in SQL that a file has a label or split, and its item another one or none."""
    return f"{given(kind, 'f')} AND {differs(kind, 'f', 'i')}"


def first_of_each_path(connection: Connection, found: Spool) -> Spool:
    """Drop all rows but the first of each path."""
    connection.register("found", found.reader())
    first = "SELECT * FROM found QUALIFY row_number() OVER (PARTITION BY path ORDER BY place) = 1 ORDER BY place"
    return spooled(connection.sql(first), FOUND)


def missing_items(
    connection: Connection, found: Spool, scopes: Sequence[Scope], unlisted: Sequence[str], container: str
) -> tuple[NDArray[np.int64], list[str]]:
    """Give the ids of items, and the paths with failures, that lie in a scope and were not found.

    unlisted: places that could not be read; nothing in them counts as missing. container: the pattern of a container's suffix, after
    which "::" leads into it.
    """
    connection.register("found", found.reader())
    connection.register("scopes", table(scopes, {"prefix": pa.string(), "within_containers": pa.bool_()}))
    connection.register("unlisted", pa.table({"prefix": pa.array(unlisted, pa.string())}))
    rows = connection.execute(
        """SELECT k.id, k.path FROM (SELECT id, path FROM items UNION ALL SELECT NULL, path FROM failures) k
           WHERE EXISTS (
               SELECT 1 FROM scopes WHERE starts_with(k.path, prefix) AND regexp_matches(k.path, $1 || '::', 'i') = within_containers
               OR k.id IS NULL AND prefix IN (k.path || '/', k.path || '::')  -- the source itself could not be listed before
           ) AND k.path NOT IN (SELECT path FROM found)
           AND NOT EXISTS (SELECT 1 FROM unlisted WHERE k.path = prefix OR starts_with(k.path, prefix || '/'))""",
        [container],
    ).fetchall()
    return np.array([row[0] for row in rows if row[0] is not None], np.int64), [r[1] for r in rows if r[0] is None]
