"""SQL of users: run on a connection without access to files, settings or writing, with errors that say what there is."""

import re
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any

import duckdb
import pyarrow as pa

from featurestore.catalog.engine import Connection, quoted_name
from featurestore.catalog.where import check_length, shown
from featurestore.errors import QueryError

RESULT_BYTES = 1 << 30
ROW_BYTES = 64  # what a row counts at least, as text
ROWS_AT_A_TIME = 2_048
SHOWN = 30  # columns that a message lists
MESSAGE = 400  # characters of DuckDB's message, which may quote a value
LONG = 1_000  # characters of a value: patterns are compared with 2,048 values between two looks at the limit of time
UNKNOWN_COLUMN = re.compile(r'(?:Referenced column "|.* does not have a column named ")(.*?)"')  # in DuckDB's messages
TABLES = "items, vectors, encoders, failures"
KINDS = {  # of DuckDB's errors, by how their texts begin
    "Out of Memory Error": duckdb.OutOfMemoryException,
    "IO Error": duckdb.IOException,
    "Conversion Error": duckdb.ConversionException,
}
WRITING = ("INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "ALTER", "COPY", "MERGE_INTO")


def run_statement(connection: Connection, text: str, result_bytes: int) -> Iterator[pa.Table]:
    """Run one statement that returns rows, and give them piece by piece; an empty table comes first. Raises QueryError when it is something else."""
    check_length("SQL", text)
    statements = connection.extract_statements(text)
    if len(statements) != 1:
        raise QueryError(f"SQL {shown(text)}: expected one statement, found {len(statements)}")
    if statements[0].type.name in WRITING:
        raise QueryError(
            f"SQL {shown(text)}: expected a statement that only reads, such as SELECT; other commands change a store"
        )
    relation = connection.sql(text)
    if relation is None:
        raise QueryError(f"SQL {shown(text)}: expected a statement that returns rows, such as SELECT")
    reader = relation.to_arrow_reader(ROWS_AT_A_TIME)
    row_bytes = ROW_BYTES + sum(map(len, reader.schema.names))  # as JSON, each row repeats the names
    yield pa.Table.from_batches([], reader.schema)
    size = 0
    for batch in _read(reader):
        size += batch.nbytes + len(batch) * row_bytes
        if size > result_bytes:
            raise QueryError(
                f"SQL: its result has more than {result_bytes >> 20} MB; select fewer columns, or add LIMIT"
            )
        yield pa.Table.from_batches([batch])


def _read(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
    """Read all batches. Arrow passes an error of DuckDB on as an OSError with its text."""
    try:
        yield from reader
    except OSError as error:
        kind = KINDS.get(str(error).partition(":")[0], duckdb.Error)
        raise kind(str(error)) from error


def run_where(connection: Connection, where: str, text: str) -> pa.Table:
    """Run a query of ours that contains a `where`. Raises QueryError that names the `where`."""
    try:
        return connection.sql(text).to_arrow_table()
    except duckdb.Error as error:
        if isinstance(error, duckdb.InterruptException) or is_damage(error):
            raise
        raise QueryError(f"where {shown(where)}: {explain(connection, error)}") from error


def has_long_values(connection: Connection, columns: Sequence[str], table: str) -> bool:
    """Whether a column may have values so long that comparing them takes time, by the statistics of the catalog."""
    if not columns:
        return False
    names = ", ".join(f"stats({quoted_name(name)})" for name in columns)
    try:
        rows = connection.execute(f"SELECT {names} FROM {table} LIMIT 1").fetchall()
    except duckdb.BinderException:  # no such column, as the query itself will say
        return False
    return any(_is_long(stats) for row in rows for stats in row)


def _is_long(stats: dict[str, Any]) -> bool:
    if "has_unicode" in stats:
        return bool(stats.get("max_string_length", LONG + 1) > LONG)
    return any(_is_long(below) for below in stats.values() if isinstance(below, dict))


def explain(connection: Connection, error: duckdb.Error) -> str:
    """Say what is wrong with a user's SQL, and which names there are, without words of DuckDB's own."""
    problem = str(error)[: 2 * MESSAGE].splitlines()[0].rpartition(" Error: ")[2]
    problem = problem if len(problem) <= MESSAGE else f"{problem[:MESSAGE]}…"
    if isinstance(error, duckdb.OutOfMemoryException):
        return "it needs more memory than it may have; select less"
    if re.match(r"Table with name .* does not exist", problem):
        return f"{problem.partition('!')[0]}; the tables are {TABLES}"
    if not isinstance(error, (duckdb.BinderException, duckdb.ConversionException)):
        return problem
    types = {name: kind for name, kind, *_ in connection.execute("DESCRIBE items").fetchall()}
    unknown = UNKNOWN_COLUMN.match(problem)
    if unknown is None:
        columns = ", ".join(f"{name} {kind}" for name, kind in list(types.items())[:SHOWN])
        return f"{problem.rstrip('.')}; the columns of items are {columns}"
    candidates = re.findall(r'(\w+)"', str(error).partition("Candidate bindings")[2])
    others = [name for name in candidates if name not in types]  # of another table, or named by the statement
    if others:
        near = get_close_matches(unknown[1], candidates, 1) or others
        return f"there is no column {unknown[1]}; did you mean {near[0]}?"
    near = get_close_matches(unknown[1], types, 1)
    hint = f"did you mean {near[0]}" if near else f"text stands in single quotes: did you mean '{unknown[1]}'"
    return f"there is no column {unknown[1]}; {hint}? The columns of items are {', '.join(list(types)[:SHOWN])}"


def is_damage(error: duckdb.Error) -> bool:
    """Whether the catalog's file caused an error, and not the SQL."""
    return isinstance(error, duckdb.IOException) or "Corrupt database file" in str(error)
