"""What the process for users' SQL does: open a catalog, run one statement, send the result, close the catalog."""

from collections.abc import Iterator
from contextlib import closing
from typing import Any

import duckdb
import pyarrow as pa

from featurestore.catalog.engine import Connection
from featurestore.catalog.user_sql import explain, is_damage, run_statement, run_where
from featurestore.catalog.where import GUARDED, column_names, parse
from featurestore.errors import QueryError
from featurestore.system.child_limits import allow_files, allow_no_more_files, limit_cpu
from featurestore.system.cpus import available_cpus
from featurestore.system.messages import Message

THREADS = min(available_cpus(), 8)  # each has a stack, which counts as memory


def answer(message: Message) -> Iterator[Message]:
    """Answer {"columns": where} with the columns in it, and {"path", "text", "where", "seconds", "bytes"} with rows.

    A request for rows is answered by {"opened"}, messages with {"rows"} and a table each, and {"end"}. After {"error"} nothing comes.
    """
    request = message.header
    try:
        if "columns" in request:
            yield Message({"columns": column_names(parse(request["columns"]))})
        else:
            yield from _rows(request)
    except QueryError as error:
        cause = type(error.__cause__).__name__ if isinstance(error.__cause__, duckdb.Error) else None
        yield Message({"error": "QueryError", "text": str(error), "cause": cause})
    except duckdb.Error as error:
        yield Message({"error": type(error).__name__, "text": str(error)[:10_000]})
    except UnicodeError as error:
        yield Message({"error": "QueryError", "text": f"SQL: expected text, found {error}", "cause": None})
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
        text = f"SQL: its result has no form in Arrow ({str(error)[:200]}); select other columns, or cast them to text"
        yield Message({"error": "QueryError", "text": text, "cause": None})


def _rows(request: dict[str, Any]) -> Iterator[Message]:
    config = {**GUARDED, "threads": THREADS}
    with closing(duckdb.connect(request["path"], read_only=True, config=config)) as connection:
        yield Message({"opened": True})
        limit_cpu(THREADS * request["seconds"] + 1)
        allow_no_more_files()
        try:
            for table in _tables(connection, request):
                yield Message({"rows": len(table)}, _serialized(table))
        except duckdb.Error as error:
            if is_damage(error):
                raise
            raise QueryError(f"SQL: {explain(connection, error)}") from error
        finally:
            allow_files()
    yield Message({"end": True})


def _tables(connection: Connection, request: dict[str, Any]) -> Iterator[pa.Table]:
    where, text = request["where"], request["text"]
    if where is None:
        yield from run_statement(connection, text, request["bytes"])
    else:
        parse(where)
        yield run_where(connection, where, text)


def _serialized(table: pa.Table) -> memoryview:
    """A stream of Arrow of its own: so each message has the dictionaries of its columns."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return memoryview(sink.getvalue())


# What is opened at first use must be there before no more files can be opened: modules, and what DuckDB asks of the system.
parse("TRUE")
with closing(duckdb.connect(config={**GUARDED, "threads": 1})) as _first:
    _serialized(_first.sql("SELECT now(), 'text', [1]").to_arrow_reader().read_all())
