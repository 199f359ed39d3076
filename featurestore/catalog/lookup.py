"""Which items the rows of a user's file are about. Done by joins, because a file may have as many rows as the store has items."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import pyarrow as pa

from featurestore.catalog.connection import scratch
from featurestore.catalog.engine import Connection
from featurestore.catalog.records import spooled
from featurestore.system.spool import Spool

# From a folder as the user wrote it to what it may mean, most likely first; each ends in "/".
Spellings = Callable[[str], Iterable[str]]
PREFIXES = pa.schema([("folder", pa.string()), ("place", pa.int64()), ("prefix", pa.string())])


@dataclass(frozen=True)
class MatchedItems:
    """Items, and the values that a file has for them."""

    items: Spool  # the id, ascending, then the values; each item once: its last row in the file counts
    unknown: pa.ChunkedArray  # the keys that no item has, as text, in the order of the file, each once


def match(connection: Connection, rows: Spool, by_path: bool, spellings: Sequence[Spellings]) -> MatchedItems:
    """Find the items of rows that hold their place, a key (path or id) and values.

    A path matches as it is written, or else by the first of `spellings` that makes it the path of an item.
    """
    connection.register("read", rows.reader())
    connection.execute("CREATE TEMP TABLE given AS SELECT * FROM read")
    column = "path" if by_path else "id"
    connection.execute(
        f"CREATE TEMP TABLE matched AS SELECT g.place, i.id FROM given g JOIN items i ON i.{column} = g.key"
    )
    for spell in spellings if by_path else ():
        _match_spelling(connection, spell)
    values = ", ".join(rows.schema.names[2:])
    items = connection.sql(
        f"""SELECT last.id, {values} FROM (SELECT id, max(place) AS place FROM matched GROUP BY id) last JOIN given USING (place)
            ORDER BY last.id"""
    )
    found = spooled(items, pa.schema([("id", pa.int64()), *list(rows.schema)[2:]]))
    unknown = connection.sql(
        """SELECT coalesce(key::TEXT, '') AS key FROM given WHERE place NOT IN (SELECT place FROM matched)
           GROUP BY ALL ORDER BY min(place)"""
    )
    return MatchedItems(found, unknown.to_arrow_table().column(0))


def _match_spelling(connection: Connection, spell: Spellings) -> None:
    """Match what is left by another spelling of its folder. There are few folders, so only these are spelled out."""
    head = "split_part(key, '::', 1)"  # the place within a container is used as it was written
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE unmatched AS
            SELECT place, folder, key[length(folder) + 1:] AS name
            FROM (SELECT place, key, regexp_extract({head}, '^(.*/)?', 0, 's') AS folder FROM given)
            WHERE place NOT IN (SELECT place FROM matched) AND name <> ''"""
    )
    folders = spooled(connection.sql("SELECT DISTINCT folder FROM unmatched"), pa.schema([("folder", pa.string())]))
    prefixes = Spool(PREFIXES)
    for batch in folders.reader():
        for folder in batch.column(0).to_pylist():
            for place, prefix in enumerate(dict.fromkeys(spell(folder))):
                prefixes.add((folder, place, prefix))
    connection.register("prefixes", prefixes.reader())
    connection.execute(
        """INSERT INTO matched SELECT u.place, arg_min(i.id, p.place)
           FROM unmatched u JOIN prefixes p USING (folder) JOIN items i ON i.path = p.prefix || u.name GROUP BY u.place"""
    )


def repeated_path(paths: Spool) -> str | None:
    """Give a path that occurs twice in a column of paths, None when there is none; the column may not fit into memory."""
    with scratch() as connection:
        connection.register("paths", paths.reader())
        found = connection.execute("SELECT path FROM paths GROUP BY path HAVING count(path) > 1 LIMIT 1").fetchall()
    return found[0][0] if found else None
