"""Which items the rows of a user's file are about, by joins: a file may have as many rows as the store has items."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import pyarrow as pa

from featurestore.catalog.connection import Connection, scratch
from featurestore.catalog.diff import spooled
from featurestore.system.spool import Spool

Spellings = Callable[
    [str], Iterable[str]
]  # of a folder as it was written: what it may mean, likeliest first, ending in "/"
PREFIXES = pa.schema([("folder", pa.string()), ("place", pa.int64()), ("prefix", pa.string())])


@dataclass(frozen=True)
class Matched:
    """Items and what a file says of them."""

    items: Spool  # the id, ascending, then the values; each item once: the last row that is about it counts
    unknown: pa.ChunkedArray  # the keys that no item has, as text, in the order of the file, each once


def match(connection: Connection, rows: Spool, by_path: bool, spellings: Sequence[Spellings]) -> Matched:
    """Find the items of rows that hold their place, a key (path or id) and values.

    A path is that of an item as it stands, or else by the first of `spellings` that makes it one.
    """
    connection.register("read", rows.reader())
    connection.execute("CREATE TEMP TABLE given AS SELECT * FROM read")
    column = "path" if by_path else "id"
    connection.execute(f"CREATE TEMP TABLE met AS SELECT g.place, i.id FROM given g JOIN items i ON i.{column} = g.key")
    for spell in spellings if by_path else ():
        _meet(connection, spell)
    values = ", ".join(rows.schema.names[2:])
    items = connection.sql(
        f"""SELECT last.id, {values} FROM (SELECT id, max(place) AS place FROM met GROUP BY id) last JOIN given USING (place)
            ORDER BY last.id"""
    )
    found = spooled(items, pa.schema([("id", pa.int64()), *list(rows.schema)[2:]]))
    unknown = connection.sql(
        """SELECT coalesce(key::TEXT, '') AS key FROM given WHERE place NOT IN (SELECT place FROM met)
           GROUP BY ALL ORDER BY min(place)"""
    )
    return Matched(found, unknown.to_arrow_table().column(0))


def _meet(connection: Connection, spell: Spellings) -> None:
    """Find the items of what is left, by other spellings of the folders: those are few, and the names in them stay."""
    head = "split_part(key, '::', 1)"  # what lies within a container is taken as it was written
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE left_over AS
            SELECT place, folder, key[length(folder) + 1:] AS name
            FROM (SELECT place, key, regexp_extract({head}, '^(.*/)?', 0, 's') AS folder FROM given)
            WHERE place NOT IN (SELECT place FROM met) AND name <> ''"""
    )
    folders = spooled(connection.sql("SELECT DISTINCT folder FROM left_over"), pa.schema([("folder", pa.string())]))
    prefixes = Spool(PREFIXES)
    for batch in folders.reader():
        for folder in batch.column(0).to_pylist():
            for place, prefix in enumerate(dict.fromkeys(spell(folder))):
                prefixes.add((folder, place, prefix))
    connection.register("prefixes", prefixes.reader())
    connection.execute(
        """INSERT INTO met SELECT l.place, arg_min(i.id, p.place)
           FROM left_over l JOIN prefixes p USING (folder) JOIN items i ON i.path = p.prefix || l.name GROUP BY l.place"""
    )


def repeated_path(paths: Spool) -> str | None:
    """Give a path that occurs twice among rows that hold nothing else, if one does; there may be more than fit into memory."""
    with scratch() as connection:
        connection.register("paths", paths.reader())
        found = connection.execute("SELECT path FROM paths GROUP BY path HAVING count(path) > 1 LIMIT 1").fetchall()
    return found[0][0] if found else None
