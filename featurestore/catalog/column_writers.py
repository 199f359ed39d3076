"""Which command wrote a column of the items. A column that no command is known to have written is the user's."""

from collections.abc import Sequence

from featurestore.catalog.engine import Connection, quoted_name

CLASSIFY, SCORE, SUGGEST = "classify", "score", "suggest"  # commands that wrote columns before there were records of it
SUGGESTED = "suggested"  # the column of `suggest`: chosen or random


def writers(connection: Connection) -> dict[str, str]:
    """Read the command that wrote each column, by the lower-case name of the column; where records disagree, it is the user's."""
    return dict(
        connection.execute(
            "SELECT lower(name) AS name, min(command) FROM written_columns GROUP BY ALL HAVING count(DISTINCT command) = 1"
        ).fetchall()
    )


def set_writer(connection: Connection, names: Sequence[str], command: str | None) -> None:
    """Record which command wrote some columns; None: they are the user's."""
    for name in names:
        connection.execute("DELETE FROM written_columns WHERE lower(name) = lower(?)", [name])
        if command is not None:
            connection.execute("INSERT INTO written_columns VALUES (?, ?)", [name, command])


def record_earlier_writers(connection: Connection) -> None:
    """Record who wrote the columns of a catalog of before WRITERS_SINCE, as far as it can be told.

    Classifiers say that they filled their columns. A column `ssl_loss` of 32-bit floats is that of `score`: no CSV or JSON file gives such
    numbers. A column `suggested` with no other texts than those of `suggest` is its own. All others are the user's.
    """
    found = connection.execute(
        "SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = 'all_items' AND database_name = current_database()"
    ).fetchall()
    columns = {name.lower(): (name, kind) for name, kind in found}
    told = [("ssl_loss", "FLOAT", SCORE)]
    for (name,) in connection.execute("SELECT lower(name) FROM classifiers WHERE applied_at IS NOT NULL").fetchall():
        told += [(name, "VARCHAR", CLASSIFY), (f"{name}_confidence", "FLOAT", CLASSIFY)]
    if SUGGESTED in columns:
        column = quoted_name(columns[SUGGESTED][0])
        others = f"SELECT 1 FROM all_items WHERE {column}::TEXT NOT IN ('random', 'chosen') LIMIT 1"
        told += [(SUGGESTED, "VARCHAR", SUGGEST)] * (not connection.execute(others).fetchall())
    for name, kind, command in told:
        if name in columns and columns[name][1] == kind:
            set_writer(connection, [columns[name][0]], command)
