"""Labels and splits of items: whose word counts, what a change replaced, and how to undo it."""

from dataclasses import astuple, dataclass, replace
from datetime import datetime

from featurestore.catalog.connection import Database
from featurestore.catalog.engine import Connection
from featurestore.system.spool import Spool

SOURCES = ("classifier", "folder", "file", "person")  # of a label or split; one never replaces that of a later one
COLUMNS = ("label", "split")


@dataclass(frozen=True, slots=True)
class Change:
    """Labels and splits that are set together, and are undone together."""

    number: int
    command: str  # such as "label labels.csv"


@dataclass(frozen=True, slots=True)
class LabelCounts:
    """What happened to the labels that a source gave; counts are items."""

    set: int = 0  # that had no label
    changed: int = 0
    removed: int = 0
    kept: int = 0  # that have another label, which this source must not replace
    splits: int = 0  # items whose split was set, changed or removed
    empty: int = 0  # items that a file has an empty label for, which changed nothing

    def __add__(self, other: "LabelCounts") -> "LabelCounts":
        pairs = zip(astuple(self), astuple(other), strict=True)
        return LabelCounts(*(mine + theirs for mine, theirs in pairs))


@dataclass(frozen=True, slots=True)
class UndoneChange:
    """A change that was undone."""

    command: str
    made_at: datetime
    items: int


class Labels:
    """The labels and splits of a catalog."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def set_from_file(self, rows: Spool, names: tuple[str, ...], command: str, clear: bool) -> LabelCounts:
        """Set labels, and splits if `names` has them, as a file says. clear: an empty value removes what the item has.

        rows: the id of an item and a value for each name; no id occurs twice.
        """
        with self._database.transaction() as connection:
            connection.register("given", rows.reader())
            values = dict(zip(names, rows.schema.names[1:], strict=True))
            chosen = ", ".join(
                f"{values.get(column, 'NULL::TEXT')} AS {column}, 'file' AS {column}_source, {clear and column in values} AS {column}_cleared"
                for column in COLUMNS
            )
            connection.execute(f"CREATE TEMP TABLE proposed AS SELECT id, {chosen} FROM given")
            counts = replace_labels(connection, Change(next_change(connection), command))
            [(empty,)] = connection.execute(
                "SELECT count(*) FROM proposed WHERE label IS NULL AND NOT label_cleared"
            ).fetchall()
            return replace(counts, empty=empty)

    def undo(self) -> UndoneChange | None:
        """Give items the labels and splits that they had before the last change; None when there is no change left to undo."""
        with self._database.transaction() as connection:
            found = connection.execute(
                "SELECT change, any_value(command), max(made_at) FROM label_history GROUP BY change ORDER BY change DESC LIMIT 1"
            ).fetchall()
            if not found:
                return None
            number, command, made_at = found[0]
            connection.execute(
                f"UPDATE all_items SET {', '.join(f'{c} = h.{c}, {c}_source = h.{c}_source' for c in COLUMNS)} "
                "FROM label_history h WHERE h.change = ? AND h.item = all_items.id",
                [number],
            )
            [(items,)] = connection.execute("DELETE FROM label_history WHERE change = ?", [number]).fetchall()
            return UndoneChange(command, made_at, items)


def next_change(connection: Connection) -> int:
    """Read the number of the next change."""
    return int(connection.execute("SELECT coalesce(max(change), 0) + 1 FROM label_history").fetchall()[0][0])


def may_replace(column: str, source: str) -> str:
    """Say in SQL whether a label or split from a source, an SQL expression, may replace that of the item i.

    Where a value came from before version 5 of the schema is not known; it counts as if a file had given it.
    """
    known = f"coalesce(list_position({list(SOURCES)}, i.{column}_source), CASE WHEN i.{column} IS NULL THEN 0 ELSE {SOURCES.index('file') + 1} END)"
    return f"list_position({list(SOURCES)}, {source}) >= {known}"


def replace_labels(connection: Connection, change: Change) -> LabelCounts:
    """Set labels and splits as the table `proposed` says, where its source may, and keep in the history what they replace.

    proposed: id, and of label and split each: the value, its source, and whether an empty value removes what is there.
    """
    takes = {
        c: f"(p.{c} IS NOT NULL OR p.{c}_cleared AND i.{c} IS NOT NULL) AND {may_replace(c, f'p.{c}_source')} "
        f"AND (p.{c} IS DISTINCT FROM i.{c} OR p.{c}_source IS DISTINCT FROM i.{c}_source)"
        for c in COLUMNS
    }
    new = ", ".join(
        f"if({takes[c]}, p.{c}, i.{c}) AS new_{c}, if({takes[c]}, p.{c}_source, i.{c}_source) AS new_{c}_source"
        for c in COLUMNS
    )
    old = ", ".join(f"i.{c}, i.{c}_source" for c in COLUMNS)
    connection.execute(f"CREATE TEMP TABLE replaced AS SELECT i.id, {old}, {new} FROM proposed p JOIN all_items i USING (id) WHERE {' OR '.join(takes.values())}")  # fmt: skip
    connection.execute(
        "INSERT INTO label_history SELECT $1, $2, now()::TIMESTAMP, id, label, label_source, split, split_source FROM replaced ORDER BY id",
        [change.number, change.command],
    )
    [(kept,)] = connection.execute(
        f"SELECT count(*) FROM proposed p JOIN all_items i USING (id) WHERE p.label IS DISTINCT FROM i.label AND (p.label IS NOT NULL OR p.label_cleared) AND NOT {may_replace('label', 'p.label_source')}"
    ).fetchall()
    [(unlabelled, changed, removed, splits)] = connection.execute(
        """SELECT count(*) FILTER (label IS NULL AND new_label IS NOT NULL), count(*) FILTER (label <> new_label),
           count(*) FILTER (label IS NOT NULL AND new_label IS NULL), count(*) FILTER (split IS DISTINCT FROM new_split) FROM replaced"""
    ).fetchall()
    connection.execute(
        f"UPDATE all_items SET {', '.join(f'{c} = r.new_{c}, {c}_source = r.new_{c}_source' for c in COLUMNS)} FROM replaced r WHERE r.id = all_items.id"
    )
    return LabelCounts(unlabelled, changed, removed, kept, splits)
