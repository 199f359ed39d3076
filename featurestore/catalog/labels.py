"""Labels and splits of items: whose word counts, what a change replaced, and how to undo it."""

from collections.abc import Sequence
from dataclasses import astuple, dataclass, replace
from datetime import datetime

import pyarrow as pa

from featurestore.catalog.column_writers import SUGGEST, SUGGESTED, writers
from featurestore.catalog.columns import user_columns
from featurestore.catalog.connection import Database
from featurestore.catalog.engine import Connection
from featurestore.system.spool import Spool

SOURCES = ("classifier", "folder", "file", "person")  # of a label or split; one never replaces that of a later one
COLUMNS = {"label": ("label", "labels"), "split": ("split",)}  # that are set together and have one source
PROVENANCE = {"label": ("label_source", "labelled_by", "labelled_at"), "split": ("split_source",)}  # of these columns
WITH_SOURCES = [(kind, c) for kind, columns in COLUMNS.items() for c in (*columns, *PROVENANCE[kind])]
# Who labelled, and when, of labels that a file or folder gives.
NOT_BY_A_PERSON = "NULL::TEXT AS labelled_by, now()::TIMESTAMP AS labelled_at"


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
class GivenLabels:
    """Labels that a person gave at once.

    rows: id, and names, the list of all labels that the item is to have, in any order; none removes those it has. No id occurs twice.
    """

    rows: pa.Table
    by: str | None  # who
    at: datetime  # UTC
    command: str  # such as "serve"


@dataclass(frozen=True, slots=True)
class LabelledByPerson:
    """What became of labels that a person gave at once."""

    change: int | None  # its number; None when each item had these labels from a person already
    items: int  # whose labels were changed
    gone: tuple[int, ...]  # ids that the store does not have


@dataclass(frozen=True, slots=True)
class LabelChange:
    """A change of labels that can be undone."""

    change: int
    command: str
    made_at: datetime  # UTC
    items: int


class Labels:
    """The labels and splits of a catalog."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def set_from_file(self, rows: Spool, names: tuple[str, ...], command: str, clear: bool) -> LabelCounts:
        """Set labels, and splits if `names` has them, as a file says. clear: an empty value removes what the item has.

        names: label or labels, and perhaps split. rows: the id of an item and a value for each name, of labels a list of all that the
        item is to have, in any order; no id occurs twice.
        """
        with self._database.transaction() as connection:
            connection.register("given", rows.reader())
            values = {"label": "NULL::TEXT", "labels": "NULL::TEXT[]", "split": "NULL::TEXT"}
            values |= dict(zip(names, rows.schema.names[1:], strict=True))
            if "labels" in names:
                values |= _one_or_several(values["labels"])
            chosen = [f"{value} AS {column}" for column, value in values.items()]
            cleared = {kind: clear and not set(names).isdisjoint(columns) for kind, columns in COLUMNS.items()}
            chosen += [f"'file' AS {kind}_source, {cleared[kind]} AS {kind}_cleared" for kind in COLUMNS]
            connection.execute(
                f"CREATE TEMP TABLE proposed AS SELECT id, {', '.join(chosen)}, {NOT_BY_A_PERSON} FROM given"
            )
            counts = replace_labels(connection, Change(next_change(connection), command))
            [(empty,)] = connection.execute(
                f"SELECT count(*) FROM proposed p WHERE NOT {given('label', 'p')} AND NOT label_cleared"
            ).fetchall()
            return replace(counts, empty=empty)

    def set_by_person(self, given_labels: Sequence[GivenLabels]) -> list[LabelledByPerson]:
        """Set labels that persons gave, each of the given ones as a change of its own.

        They replace every other label, and are replaced by nothing but those of persons.
        """
        with self._database.transaction() as connection:
            return [_set_by_person(connection, given_ones) for given_ones in given_labels]

    def in_order(self) -> pa.Table:
        """Read the items with one label in the order in which they were labelled: id, label, and random, whether `suggest` drew them at random."""
        with self._database.reading() as connection:
            drawn = SUGGESTED in user_columns(connection) and writers(connection).get(SUGGESTED) == SUGGEST
            random = f"coalesce({SUGGESTED} = 'random', false)" if drawn else "false"
            return connection.sql(
                f"SELECT id, label, {random} AS random FROM items WHERE label IS NOT NULL ORDER BY labelled_at NULLS FIRST, id"
            ).to_arrow_table()

    def changes(self, limit: int) -> list[LabelChange]:
        """Give the last changes that can be undone, the newest first."""
        with self._database.reading() as connection:
            found = connection.execute(
                """SELECT change, any_value(command), max(made_at), count(*) FROM label_history
                   GROUP BY change ORDER BY change DESC LIMIT ?""",
                [limit],
            ).fetchall()
        return [LabelChange(*row) for row in found]

    def undo(self, number: int | None = None) -> LabelChange | None:
        """Give items the labels and splits that they had before a change, the last one by default; None when it is not there.

        What a later change made of an item stays, and when that is undone, too, the item has what it had before both.
        """
        with self._database.transaction() as connection:
            found = connection.execute(
                """SELECT change, any_value(command), max(made_at) FROM label_history WHERE $1 IS NULL OR change = $1
                   GROUP BY change ORDER BY change DESC LIMIT 1""",
                [number],
            ).fetchall()
            if not found:
                return None
            number, command, made_at = found[0]
            before = ", ".join(f"{c} = h.{c}" for _, c in WITH_SOURCES)
            connection.execute(
                """CREATE TEMP TABLE undone AS SELECT h.*, (SELECT min(change) FROM label_history l WHERE l.item = h.item AND l.change > h.change) AS next
                   FROM label_history h WHERE h.change = ?""",
                [number],
            )
            connection.execute(
                f"UPDATE all_items SET {before} FROM undone h WHERE h.next IS NULL AND h.item = all_items.id"
            )
            connection.execute(
                f"UPDATE label_history SET {before} FROM undone h WHERE label_history.change = h.next AND label_history.item = h.item"
            )
            [(items,)] = connection.execute("DELETE FROM label_history WHERE change = ?", [number]).fetchall()
            return LabelChange(number, command, made_at, items)


def _set_by_person(connection: Connection, labels: GivenLabels) -> LabelledByPerson:
    connection.register("given", labels.rows)
    values = ", ".join(f"{value} AS {column}" for column, value in _one_or_several("names").items())
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE proposed AS
            SELECT id, {values}, 'person' AS label_source, len(list_distinct(names)) = 0 AS label_cleared,
                $1::TEXT AS labelled_by, $2::TIMESTAMP AS labelled_at,
                NULL::TEXT AS split, NULL::TEXT AS split_source, false AS split_cleared
            FROM given SEMI JOIN items USING (id)""",
        [labels.by, labels.at],
    )
    gone = connection.execute("SELECT id FROM given ANTI JOIN proposed USING (id) ORDER BY id").fetchall()
    number = next_change(connection)
    replace_labels(connection, Change(number, labels.command))
    [(items,)] = connection.execute("SELECT count(*) FROM label_history WHERE change = ?", [number]).fetchall()
    return LabelledByPerson(number if items else None, items, tuple(item for (item,) in gone))


def _one_or_several(names: str) -> dict[str, str]:
    """Write in SQL which label a list of them gives an item, or which labels."""
    found = f"list_sort(list_distinct({names}))"
    return {"label": f"if(len({found}) = 1, {found}[1], NULL)", "labels": f"if(len({found}) > 1, {found}, NULL)"}


def next_change(connection: Connection) -> int:
    """Read the number of the next change."""
    return int(connection.execute("SELECT coalesce(max(change), 0) + 1 FROM label_history").fetchall()[0][0])


def given(kind: str, table: str) -> str:
    """Say in SQL whether a row of a table has a label, one or several, or a split."""
    return f"({' OR '.join(f'{table}.{c} IS NOT NULL' for c in COLUMNS[kind])})"


def differs(kind: str, table: str, other: str) -> str:
    """Say in SQL whether rows of two tables differ in their labels, or in their splits."""
    return f"({' OR '.join(f'{table}.{c} IS DISTINCT FROM {other}.{c}' for c in COLUMNS[kind])})"


def may_replace(kind: str, source: str) -> str:
    """Say in SQL whether a label or split from a source, an SQL expression, may replace that of the item i.

    Where a value came from before version 5 of the schema is not known; it counts as if a file had given it.
    """
    unknown = f"CASE WHEN {given(kind, 'i')} THEN {SOURCES.index('file') + 1} ELSE 0 END"
    known = f"coalesce(list_position({list(SOURCES)}, i.{kind}_source), {unknown})"
    return f"list_position({list(SOURCES)}, {source}) >= {known}"


def replace_labels(connection: Connection, change: Change) -> LabelCounts:
    """Set labels and splits as the table `proposed` says, where its source may, and keep in the history what they replace.

    proposed: id, and of label and split each: the values, their source, and whether an empty value removes what is there.
    """
    takes = {
        kind: f"({given(kind, 'p')} OR p.{kind}_cleared AND {given(kind, 'i')}) AND {may_replace(kind, f'p.{kind}_source')} "
        f"AND ({differs(kind, 'p', 'i')} OR p.{kind}_source IS DISTINCT FROM i.{kind}_source)"
        for kind in COLUMNS
    }
    before, after = (f"SELECT i.id, {', '.join(columns)} FROM proposed p JOIN all_items i USING (id) WHERE {' OR '.join(takes.values())}" for columns in (
        [f"i.{c}" for _, c in WITH_SOURCES],
        [f"if({takes[kind]}, p.{c}, i.{c}) AS {c}" for kind, c in WITH_SOURCES],
    ))  # fmt: skip
    connection.execute(f"CREATE OR REPLACE TEMP TABLE before AS {before}")
    connection.execute(f"CREATE OR REPLACE TEMP TABLE after AS {after}")
    connection.execute(
        "INSERT INTO label_history BY NAME SELECT $1 AS change, $2 AS command, now()::TIMESTAMP AS made_at, * RENAME (id AS item) FROM before ORDER BY id",
        [change.number, change.command],
    )
    [(kept,)] = connection.execute(
        f"""SELECT count(*) FROM proposed p JOIN all_items i USING (id) WHERE {differs("label", "p", "i")}
            AND ({given("label", "p")} OR p.label_cleared) AND NOT {may_replace("label", "p.label_source")}"""
    ).fetchall()
    had, has = given("label", "b"), given("label", "a")
    [(unlabelled, changed, removed, splits)] = connection.execute(
        f"""SELECT count(*) FILTER (NOT {had} AND {has}), count(*) FILTER ({had} AND {has} AND {differs("label", "a", "b")}),
            count(*) FILTER ({had} AND NOT {has}), count(*) FILTER ({differs("split", "a", "b")}) FROM before b JOIN after a USING (id)"""
    ).fetchall()
    connection.execute(
        f"UPDATE all_items SET {', '.join(f'{c} = a.{c}' for _, c in WITH_SOURCES)} FROM after a WHERE a.id = all_items.id"
    )
    return LabelCounts(unlabelled, changed, removed, kept, splits)
