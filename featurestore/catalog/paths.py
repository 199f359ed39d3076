"""Paths of items, sources, failures and deleted files, rewritten together when a tree or a drive has moved."""

import os
from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from featurestore.catalog.connection import Database
from featurestore.catalog.engine import Connection
from featurestore.errors import SourceError

BELOW = "(path = old OR starts_with(path, old || '/') OR starts_with(path, old || '::'))"


@dataclass(frozen=True, slots=True)
class Relocation:
    """What is called by another path from now on: everything at or below some paths."""

    old: Sequence[str]  # spellings of the old place, without a slash at the end
    new: str
    new_source: str  # the new place as `index` remembers it


@dataclass(frozen=True, slots=True)
class Relocated:
    """How many rows have another path."""

    items: int  # removed ones, too
    sources: int
    deleted: int
    failures: int


class Paths:
    """The paths of a catalog."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def relocated(self, relocation: Relocation, first: int) -> tuple[int, list[str]]:
        """Count everything at or below the old place, and give the new paths of the first items that are not removed."""
        with self._database.reading() as connection:
            _register(connection, relocation)
            every = " UNION ALL ".join(
                f"SELECT path FROM {table}" for table in ("all_items", "sources", "deleted", "failures")
            )
            [(count,)] = connection.execute(f"SELECT count(*) FROM ({every}) JOIN places ON {BELOW}").fetchall()
            rows = connection.execute(
                f"SELECT {new_path('new')} FROM items JOIN places ON {BELOW} ORDER BY id LIMIT ?", [first]
            ).fetchall()
            return int(count), [row[0] for row in rows]

    def relocate(self, relocation: Relocation) -> Relocated:
        """Rewrite the paths of everything at or below the old place. Raises SourceError when a new path is that of another item."""
        with self._database.transaction() as connection:
            _register(connection, relocation)
            connection.execute(
                f"CREATE TEMP TABLE moving AS SELECT id, {new_path('new')} AS new_path FROM all_items JOIN places ON {BELOW}"
            )
            _refuse_collisions(connection)
            connection.execute("UPDATE all_items SET path = new_path FROM moving WHERE moving.id = all_items.id")
            counts = {"items": connection.execute("SELECT count(*) FROM moving").fetchall()[0][0]}
            for table, column in (("sources", "new_source"), ("deleted", "new"), ("failures", "new")):
                connection.execute(
                    f"CREATE OR REPLACE TEMP TABLE changed AS SELECT {table}.rowid AS place, {new_path(column)} AS new_path FROM {table} JOIN places ON {BELOW}"
                )
                others = f"{table}.rowid NOT IN (SELECT place FROM changed)"
                connection.execute(f"DELETE FROM {table} WHERE path IN (SELECT new_path FROM changed) AND {others}")
                connection.execute(f"UPDATE {table} SET path = new_path FROM changed WHERE place = {table}.rowid")
                counts[table] = connection.execute("SELECT count(*) FROM changed").fetchall()[0][0]
            connection.execute(
                "DELETE FROM deleted WHERE path IN (SELECT new_path FROM moving)"
            )  # an item is there now
            return Relocated(**counts)

    def roots(self) -> list[tuple[str, int]]:
        """Give the folders that the items have in common, one for each folder at the top or each host, with their numbers of items."""
        with self._database.reading() as connection:
            rows = connection.execute(
                """SELECT min(path), max(path), count(*) AS n FROM items
                   GROUP BY regexp_extract(path, '^([A-Za-z][A-Za-z0-9+.-]+://[^/]*|/[^/]*)') ORDER BY n DESC, 1"""
            ).fetchall()
        return [(_common_folder(first, last), n) for first, last, n in rows]


def new_path(column: str) -> str:
    """Say in SQL what a path below an old place is called from now on. column: of the new place."""
    return f"{column} || substr(path, length(old) + 1)"


def _register(connection: Connection, relocation: Relocation) -> None:
    places = [{"old": old, "new": relocation.new, "new_source": relocation.new_source} for old in relocation.old]
    connection.register("places", pa.Table.from_pylist(places))


def _refuse_collisions(connection: Connection) -> None:
    found = connection.execute(
        """SELECT count(*), min(new_path) FROM moving
           WHERE new_path IN (SELECT path FROM all_items WHERE id NOT IN (SELECT id FROM moving))
           OR new_path IN (SELECT new_path FROM moving GROUP BY new_path HAVING count(*) > 1)"""
    ).fetchall()
    [(count, first)] = found
    if count:
        raise SourceError(
            f"{count} of the new paths belong to other items already, the first: {first!r}; nothing was changed: these were probably indexed at "
            "the new place as new items; delete the ones that you do not need with featurestore delete STORE --where SQL, then run the same command again"
        )


def _common_folder(first: str, last: str) -> str:
    """Give the folder that all paths between two have in common."""
    folders = [f"{os.path.dirname(path)}/" for path in (first, last)]
    return os.path.commonprefix(folders).rpartition("/")[0] or "/"  # noqa: RUF071 (commonpath does not know URLs)
