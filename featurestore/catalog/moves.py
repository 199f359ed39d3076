"""Items whose files were not found. A new file with the content of one may be that file, moved or renamed."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurestore.catalog.engine import Connection
from featurestore.system.spool import Spool

KEY = 16  # hex digits of a hash that are kept in memory


@dataclass(frozen=True, slots=True)
class LostItem:
    """An item whose file was not found."""

    place: int  # in `LostItems`
    id: int
    path: str  # where it was
    sha256: str
    encoded: bool  # the encoder has a vector of its content


@dataclass(frozen=True)
class LostItems:
    """What a run keeps in memory of them: 18 bytes an item, and only of those with the size of a new file. Ascending by key."""

    keys: NDArray[np.uint64]  # the first 8 bytes of the hash
    ids: NDArray[np.int64]
    vanished: NDArray[np.bool_]  # no longer listed by its source; of the others only the disk can tell
    settled: NDArray[np.bool_]  # moved in this run, or found on disk

    def __contains__(self, sha256: str) -> bool:
        """Whether an item may have this content: never wrong when it says no."""
        return len(self.places(sha256)) > 0

    def places(self, sha256: str) -> range:
        """Give the places of the items that may have a content."""
        key = np.uint64(hash_key(sha256))
        return range(*(int(np.searchsorted(self.keys, key, side)) for side in ("left", "right")))

    def moved(self) -> NDArray[np.int64]:
        """Give the ids of the items that were listed before and have moved in this run."""
        return self.ids[self.vanished & self.settled]


def hash_key(sha256: str) -> int:
    """Give the first 8 bytes of a hash as a number; 0 for what is no hash."""
    try:
        return int.from_bytes(bytes.fromhex(sha256[:KEY]))
    except ValueError:
        return 0


def lost_items(connection: Connection, found: Spool, todo: Spool, removed: NDArray[np.int64]) -> LostItems:
    """Give the items that were not found and have the size of a new file. removed: ids of items that their sources no longer list."""
    if not todo.rows:  # most runs; what follows reads all items
        return LostItems(np.empty(0, np.uint64), np.empty(0, np.int64), np.empty(0, np.bool_), np.empty(0, np.bool_))
    connection.register("found", found.reader())
    connection.register("todo", todo.reader())
    rows = connection.execute(
        f"""SELECT TRY_CAST('0x' || sha256[:{KEY}] AS UBIGINT) AS key, id, removed_at IS NOT NULL AS removed FROM all_items
            WHERE bytes IN (SELECT size FROM todo WHERE id IS NULL) AND key IS NOT NULL AND path NOT IN (SELECT path FROM found)
            ORDER BY key, id"""
    ).fetchnumpy()
    ids = rows["id"]
    return LostItems(rows["key"], ids, rows["removed"] | np.isin(ids, removed), np.zeros(len(ids), bool))


def read_lost(connection: Connection, encoder: str, lost: LostItems, contents: Iterable[str]) -> list[LostItem]:
    """Read the items with one of some contents that have not moved yet, by id."""
    places = {
        int(lost.ids[place]): place for sha256 in contents for place in lost.places(sha256) if not lost.settled[place]
    }
    connection.register("wanted", pa.table({"id": pa.array(places, pa.int64())}))
    rows = connection.execute(
        """SELECT i.id, i.path, i.sha256, v.row IS NOT NULL FROM all_items i SEMI JOIN wanted USING (id)
           LEFT JOIN vectors v ON v.item = i.id AND v.encoder = ? AND v.sha256 = i.sha256 ORDER BY i.id""",
        [encoder],
    ).fetchall()
    return [LostItem(places[row[0]], *row) for row in rows]
