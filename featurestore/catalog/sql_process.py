"""Processes that run users' SQL. DuckDB looks at its limits between pieces of work only; the system looks at them always."""

import os
import time
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from featurestore.catalog import user_sql
from featurestore.catalog.where import SHORT, check_length, column_names, parse
from featurestore.errors import QueryError, StoreUntrusted
from featurestore.system.child_limits import Limits
from featurestore.system.child_pool import ChildPool
from featurestore.system.child_process import ChildEnded, ChildProcess, Ending
from featurestore.system.messages import Message

LIMITS = Limits(memory=2 << 30, cpu_seconds=3600.0)
OPEN_SECONDS = 30.0  # to open a catalog
PARSE_SECONDS = 30.0
PROCESSES = ChildPool("featurestore.catalog.sql_child", LIMITS, harmless=(QueryError, duckdb.Error))


def check_expression(where: str) -> None:
    """Raise QueryError unless `where` is exactly one SQL expression."""
    named_columns(where)


def named_columns(where: str) -> list[str]:
    """List the columns that an expression names, each once, in its order. Raises QueryError for what is no expression."""
    check_length("where", where)
    if len(where) <= SHORT:
        return column_names(parse(where))
    with PROCESSES.lend() as child:
        try:
            columns: list[str] = _checked(child.ask(Message({"columns": where}), PARSE_SECONDS)).header["columns"]
        except ChildEnded as ended:
            raise _named(ended, "where", PARSE_SECONDS) from ended
    return columns


def run_in_process(child: ChildProcess, path: Path, text: str, where: str | None, seconds: float) -> pa.Table:
    """Run a statement of a user, or a query of ours that contains a `where` of a user.

    Raises QueryError for what is wrong with it, and duckdb.Error when the catalog cannot be opened or read.
    """
    request = {
        "path": os.path.abspath(path),
        "text": text,
        "where": where,
        "seconds": seconds,
        "bytes": user_sql.RESULT_BYTES,
    }
    try:
        _checked(child.ask(Message(request), OPEN_SECONDS))
        deadline = time.monotonic() + seconds
        tables = []
        while "end" not in (message := _checked(child.receive(deadline, 2 * user_sql.RESULT_BYTES))).header:
            tables.append(pa.ipc.open_stream(message.data).read_all())
    except ChildEnded as ended:
        raise _named(ended, "SQL" if where is None else "where", seconds) from ended
    return pa.concat_tables(tables)


def try_log(path: Path) -> None:
    """Open a catalog with the log beside it, which may calculate without end when it is applied. Raises StoreUntrusted, duckdb.Error."""
    try:
        with PROCESSES.lend() as child:
            run_in_process(child, path, "SELECT 1", None, OPEN_SECONDS)
    except QueryError as error:
        raise StoreUntrusted(
            f"{path}.wal: expected a log that can be applied within {OPEN_SECONDS:g} s and 2 GB of memory, found one that cannot; do not use it "
            "if it is not your own; without the log, the store is as it was before the last changes"
        ) from error


def too_slow(seconds: float) -> QueryError:
    """Make the error for SQL that was stopped at its limit of time."""
    return QueryError(f"the SQL took more than {seconds:g} s and was stopped; select less, or allow more time")


def _checked(message: Message) -> Message:
    """Raise the error that a message tells of."""
    match message.header:
        case {"error": "QueryError", "text": text, "cause": cause}:
            raise QueryError(text) from (None if cause is None else _duckdb_error(cause, ""))
        case {"error": name, "text": text}:
            raise _duckdb_error(name, text)
    return message


def _duckdb_error(name: str, text: str) -> duckdb.Error:
    kind: Any = getattr(duckdb, name, duckdb.Error)
    error: duckdb.Error = kind(text)
    return error


def _named(ended: ChildEnded, kind: str, seconds: float) -> QueryError:
    """Say why a statement has no answer, and what to do."""
    match ended.ending:
        case Ending.DEADLINE | Ending.CPU:
            return too_slow(seconds)
        case Ending.MEMORY:
            return QueryError(f"{kind}: it needs more memory than it may have; select less")
    return QueryError(f"{kind}: its process ended without an answer: {ended}; write it in another way, or select less")
