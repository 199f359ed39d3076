"""SQL that users write: checked before it runs, and without access to files, settings or writing."""

import json
import re
from collections.abc import Iterator
from difflib import get_close_matches
from functools import cache
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurestore.catalog.engine import SETTINGS, Connection, Settings
from featurestore.errors import QueryError

GUARDED: Settings = {**SETTINGS, "memory_limit": "1GB", "enable_external_access": "false", "lock_configuration": "true"}
RESULT_BYTES = 1 << 30
ROWS_AT_A_TIME = 2_048
SHOWN = 30  # columns that a message lists
TABLES = "items, vectors, encoders, failures"
WRITING = ("INSERT", "UPDATE", "DELETE", "CREATE", "DROP", "ALTER", "COPY", "MERGE_INTO")
EXPECTED = "expected one expression over the columns of items, such as label = 'rose' AND width > 100"


def run_statement(connection: Connection, text: str) -> pa.Table:
    """Run one statement that returns rows. Raises QueryError when it is something else."""
    statements = connection.extract_statements(text)
    if len(statements) != 1:
        raise QueryError(f"SQL {text!r}: expected one statement, found {len(statements)}")
    if statements[0].type.name in WRITING:
        raise QueryError(
            f"SQL {text!r}: expected a statement that only reads, such as SELECT; other commands change a store"
        )
    relation = connection.sql(text)
    if relation is None:
        raise QueryError(f"SQL {text!r}: expected a statement that returns rows, such as SELECT")
    reader = relation.to_arrow_reader(ROWS_AT_A_TIME)
    batches: list[pa.RecordBatch] = []
    size = 0
    for batch in reader:
        size += batch.nbytes
        if size > RESULT_BYTES:
            raise QueryError(
                f"SQL: its result has more than {RESULT_BYTES >> 20} MB; select fewer columns, or add LIMIT"
            )
        batches.append(batch)
    return pa.Table.from_batches(batches, reader.schema)


def run_where(connection: Connection, where: str, text: str) -> NDArray[np.int64]:
    """Run a query of ours that contains a `where`; gives its one column. Raises QueryError that names the `where`."""
    try:
        found: NDArray[np.int64] = connection.sql(text).to_arrow_table().column(0).to_numpy()
    except duckdb.Error as error:
        if isinstance(error, duckdb.InterruptException) or is_damage(error):
            raise
        raise QueryError(f"where {where!r}: {explain(connection, error)}") from error
    return found


def explain(connection: Connection, error: duckdb.Error) -> str:
    """Say what is wrong with a user's SQL, and which names there are, without words of DuckDB's own."""
    problem = str(error).splitlines()[0].rpartition(" Error: ")[2]
    if isinstance(error, duckdb.OutOfMemoryException):
        return "it needs more memory than it may have; select less"
    if re.match(r"Table with name .* does not exist", problem):
        return f"{problem.partition('!')[0]}; the tables are {TABLES}"
    if not isinstance(error, (duckdb.BinderException, duckdb.ConversionException)):
        return problem
    types = {name: kind for name, kind, *_ in connection.execute("DESCRIBE items").fetchall()}
    unknown = re.match(r'Referenced column "(.*?)" not found', problem)
    if unknown is None:
        columns = ", ".join(f"{name} {kind}" for name, kind in list(types.items())[:SHOWN])
        return f"{problem.rstrip('.')}; the columns of items are {columns}"
    near = get_close_matches(unknown[1], types, 1)
    hint = f"did you mean {near[0]}" if near else f"text stands in single quotes: did you mean '{unknown[1]}'"
    return f"there is no column {unknown[1]}; {hint}? The columns of items are {', '.join(list(types)[:SHOWN])}"


def check_expression(where: str) -> None:
    """Raise QueryError unless `where` is exactly one SQL expression."""
    _parse(where)


def named_columns(where: str) -> list[str]:
    """List the columns that an expression names, each once, in its order. Raises QueryError as `check_expression` does."""
    return list(dict.fromkeys(_column_names(_parse(where))))


def _parse(where: str) -> Any:
    """Give the syntax tree of an expression. Raises QueryError for anything else."""
    try:
        with _parser().cursor() as parser:
            text = f"SELECT 1 WHERE {where}\n"
            tree = json.loads(parser.execute("SELECT json_serialize_sql($1::TEXT)", [text]).fetchall()[0][0])
    except (duckdb.Error, UnicodeError) as error:
        if isinstance(error, (duckdb.InternalException, duckdb.FatalException)):
            _parser.cache_clear()  # after such an error it answers nothing any more
        raise QueryError(f"where {where!r}: {error}; {EXPECTED}") from error
    if tree["error"]:
        raise QueryError(f"where {where!r}: {tree['error_message']}; {EXPECTED}")
    statement = tree["statements"][0] if len(tree["statements"]) == 1 else {}
    node = statement.get("node", {})
    clauses = ("modifiers", "group_expressions", "group_sets", "having", "qualify", "sample")
    plain = (
        node.get("type") == "SELECT_NODE"
        and node.get("aggregate_handling") == "STANDARD_HANDLING"
        and not any(node.get(c) for c in clauses)
    )
    if not plain or not node.get("where_clause"):
        raise QueryError(f"where {where!r}: found more than an expression; {EXPECTED}")
    return node["where_clause"]


def _column_names(tree: Any) -> Iterator[str]:
    """Walk a syntax tree and give the name of each column in it."""
    if isinstance(tree, dict):
        if tree.get("class") == "COLUMN_REF":
            yield tree["column_names"][-1]
        tree = list(tree.values())
    if isinstance(tree, list):
        for part in tree:
            yield from _column_names(part)


@cache
def _parser() -> Connection:
    """A DuckDB without a file or threads, which parses SQL and runs none of it."""
    return duckdb.connect(config={**GUARDED, "threads": 1})


def is_damage(error: duckdb.Error) -> bool:
    """Whether the catalog's file caused an error, and not the SQL."""
    return isinstance(error, duckdb.IOException) or "Corrupt database file" in str(error)
