"""SQL that users write: checked before it runs, and without access to files, settings or writing."""

import json
from functools import cache

import duckdb
import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurestore.catalog.engine import SETTINGS, Connection, Settings
from featurestore.errors import QueryError

GUARDED: Settings = {**SETTINGS, "enable_external_access": "false", "lock_configuration": "true"}


def run_statement(connection: Connection, text: str) -> pa.Table:
    """Run one statement that returns rows. Raises QueryError when it is something else."""
    if len(connection.extract_statements(text)) != 1:
        raise QueryError(f"SQL {text!r}: expected one statement")
    relation = connection.sql(text)
    if relation is None:
        raise QueryError(f"SQL {text!r}: expected a statement that returns rows, such as SELECT")
    return relation.to_arrow_table()


def run_where(connection: Connection, where: str, text: str) -> NDArray[np.int64]:
    """Run a query of ours that contains a `where`; gives its one column. Raises QueryError that names the `where`."""
    try:
        found: NDArray[np.int64] = connection.sql(text).to_arrow_table().column(0).to_numpy()
    except duckdb.Error as error:
        if isinstance(error, duckdb.InterruptException) or is_damage(error):
            raise
        raise QueryError(f"where {where!r}: {str(error).splitlines()[0]}") from error
    return found


def check_expression(where: str) -> None:
    """Raise QueryError unless `where` is exactly one SQL expression."""
    hint = "expected one expression over the columns of items, such as label = 'rose' AND width > 100"
    try:
        with _parser().cursor() as parser:
            text = f"SELECT 1 WHERE {where}\n"
            tree = json.loads(parser.execute("SELECT json_serialize_sql($1::TEXT)", [text]).fetchall()[0][0])
    except (duckdb.Error, UnicodeError) as error:
        if isinstance(error, (duckdb.InternalException, duckdb.FatalException)):
            _parser.cache_clear()  # after such an error it answers nothing any more
        raise QueryError(f"where {where!r}: {error}; {hint}") from error
    if tree["error"]:
        raise QueryError(f"where {where!r}: {tree['error_message']}; {hint}")
    statement = tree["statements"][0] if len(tree["statements"]) == 1 else {}
    node = statement.get("node", {})
    clauses = ("modifiers", "group_expressions", "group_sets", "having", "qualify", "sample")
    plain = (
        node.get("type") == "SELECT_NODE"
        and node.get("aggregate_handling") == "STANDARD_HANDLING"
        and not any(node.get(c) for c in clauses)
    )
    if not plain or not node.get("where_clause"):
        raise QueryError(f"where {where!r}: found more than an expression; {hint}")


@cache
def _parser() -> Connection:
    """A DuckDB without a file or threads, which parses SQL and runs none of it."""
    return duckdb.connect(config={**GUARDED, "threads": 1})


def is_damage(error: duckdb.Error) -> bool:
    """Whether the catalog's file caused an error, and not the SQL."""
    return isinstance(error, duckdb.IOException) or "Corrupt database file" in str(error)
