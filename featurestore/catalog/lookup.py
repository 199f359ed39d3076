"""Which items the rows of a user's file are about. Done by joins, because a file may have as many rows as the store has items."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import pyarrow as pa

from featurestore.catalog.engine import Connection
from featurestore.catalog.records import spooled
from featurestore.catalog.scratch import scratch
from featurestore.system.spool import Spool
from featurestore.system.text import counted

PREFIXES = pa.schema([("folder", pa.string()), ("place", pa.int64()), ("prefix", pa.string())])
SIMILAR = 10_000  # pairs of paths that are compared to find what was meant
CLEANED = r"replace(trim(key), '\', '/')"


@dataclass(frozen=True, slots=True)
class Spelling:
    """A way to read the paths of a file that are not those of items as they are written."""

    prefixes: Callable[[str], Iterable[str]]  # of a folder in the file, likeliest first; each ends in "/" or "::"
    note: str = ""  # how to tell that paths were read so
    cleaned: bool = False  # a backslash means a slash, and blanks around are dropped
    normalized: bool = False  # letters with accents are the same in composed and decomposed form
    unique: bool = False  # a path that may mean several items means none


@dataclass(frozen=True)
class MatchedItems:
    """Items, and the values that a file has for them."""

    items: Spool  # the id, ascending, then the values; each item once: its last row in the file counts
    unknown: pa.ChunkedArray  # the keys that no item has, as text, in the order of the file, each once
    notes: tuple[str, ...] = ()  # how paths were read that are not those of items as they are written


def match(connection: Connection, rows: Spool, by_path: bool, spellings: Sequence[Spelling]) -> MatchedItems:
    """Find the items of rows that hold their place, a key (path or id) and values.

    A path matches as it is written, or else by the first of `spellings` that makes it the path of an item.
    """
    connection.register("read", rows.reader())
    connection.execute("CREATE TEMP TABLE given AS SELECT * FROM read")
    column = "path" if by_path else "id"
    connection.execute(
        f"CREATE TEMP TABLE matched AS SELECT g.place, i.id FROM given g JOIN items i ON i.{column} = g.key"
    )
    notes = []
    connection.execute(
        "CREATE TEMP TABLE rest AS SELECT place, key FROM given WHERE key IS NOT NULL AND place NOT IN (SELECT place FROM matched)"
    )
    for spelling in spellings if by_path else ():
        count = _match_spelling(connection, spelling)
        if count and spelling.note:
            notes.append(f"{counted(count, 'path')} {spelling.note}")
    values = ", ".join(rows.schema.names[2:])
    notes += _contradictions(connection, values)
    items = connection.sql(
        f"""SELECT last.id, {values} FROM (SELECT id, max(place) AS place FROM matched GROUP BY id) last JOIN given USING (place)
            ORDER BY last.id"""
    )
    found = spooled(items, pa.schema([("id", pa.int64()), *list(rows.schema)[2:]]))
    unknown = connection.sql(
        """SELECT coalesce(key::TEXT, '') AS key FROM given WHERE place NOT IN (SELECT place FROM matched)
           GROUP BY ALL ORDER BY min(place)"""
    )
    return MatchedItems(found, unknown.to_arrow_table().column(0), tuple(notes))


def _match_spelling(connection: Connection, spelling: Spelling) -> int:
    """Match what is left by another spelling of its folder; returns how many rows. There are few folders, so only these are spelled out."""
    text = CLEANED if spelling.cleaned else "key"
    head = "split_part(text, '::', 1)"  # the place within a container is used as it was written
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE unmatched AS
            SELECT place, folder, text[length(folder) + 1:] AS name
            FROM (SELECT place, text, regexp_extract({head}, '^(.*/)?', 0, 's') AS folder FROM (SELECT place, {text} AS text FROM rest))"""
    )
    folders = spooled(connection.sql("SELECT DISTINCT folder FROM unmatched"), pa.schema([("folder", pa.string())]))
    if not folders.rows:
        return 0
    prefixes = Spool(PREFIXES)
    for batch in folders.reader():
        for folder in batch.column(0).to_pylist():
            for place, prefix in enumerate(dict.fromkeys(spelling.prefixes(folder))):
                prefixes.add((folder, place, prefix))
    connection.register("prefixes", prefixes.reader())
    form = "nfc_normalize" if spelling.normalized else ""
    [(count,)] = connection.execute(
        f"""INSERT INTO matched SELECT u.place, arg_min(i.id, p.place)
           FROM unmatched u JOIN prefixes p USING (folder) JOIN items i ON {form}(i.path) = {form}(p.prefix || u.name) GROUP BY u.place
           {"HAVING count(DISTINCT i.id) = 1" if spelling.unique else ""}"""
    ).fetchall()
    if count:
        connection.execute("DELETE FROM rest WHERE place IN (SELECT place FROM matched)")
    return int(count)


def _contradictions(connection: Connection, values: str) -> list[str]:
    """Tell of items with several rows whose values differ."""
    [(count, first)] = connection.execute(
        f"""SELECT count(*), min_by(key, place) FROM (
            SELECT min_by(key::TEXT, place) AS key, min(place) AS place FROM matched JOIN given USING (place)
            WHERE id IN (SELECT id FROM matched GROUP BY id HAVING count(*) > 1)
            GROUP BY id HAVING count(DISTINCT ({values},)) > 1)"""
    ).fetchall()
    return [
        f"{counted(count, 'item')} with several rows that differ, of which the last one counts; the first: '{first}'"
    ] * bool(count)


def similar_paths(connection: Connection, paths: Sequence[str]) -> list[tuple[str, str]]:
    """Pair paths of a file with items whose file has the same name, ignoring case, accents' form and suffix."""
    connection.register("wanted", pa.table({"key": pa.array(paths, pa.string())}))
    name = "lower(nfc_normalize(parse_filename({}, true)))"
    return connection.execute(
        f"SELECT key, path FROM wanted JOIN items ON {name.format(CLEANED)} = {name.format('path')} ORDER BY key, path LIMIT {SIMILAR}"
    ).fetchall()


def repeated_path(paths: Spool) -> str | None:
    """Give a path that occurs twice in a column of paths, None when there is none; the column may not fit into memory."""
    with scratch() as connection:
        connection.register("paths", paths.reader())
        found = connection.execute("SELECT path FROM paths GROUP BY path HAVING count(path) > 1 LIMIT 1").fetchall()
    return found[0][0] if found else None
