"""SQL of strangers reaches no file: none that it names, and none through a function of DuckDB."""

import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import duckdb
import pytest

from featurestore import FeatureStore
from featurestore.catalog.sql_process import PROCESSES
from featurestore.errors import FeatureStoreError, QueryError
from tests.featurestore.attacks.canary import Canary
from tests.featurestore.attacks.hostile_sql import ENDLESS, FILES
from tests.featurestore.commands import Run


def aimed(statement: str, canary: Canary) -> str:
    for name in ("txt", "csv", "json"):
        statement = statement.replace(f"{{{name}}}", str(canary.path(f"canary.{name}")))
    return statement.replace("{folder}", str(canary.folder))


def attack(ask: Callable[[], object], canary: Canary) -> bool:
    """Whether SQL is refused. Assert that it changes and tells nothing in any case."""
    try:
        found = str(ask())
    except FeatureStoreError as error:
        canary.check(str(error))
        return True
    canary.check(found)
    return False


HARMLESS = {  # what is answered, with nothing behind it
    "FROM duckdb_secrets(redact = false)", "SELECT getvariable('x')", "FROM set_database_file_mtime(1)", "SET VARIABLE x = 1", "BEGIN", "CHECKPOINT",
    "FORCE CHECKPOINT", "VACUUM", "ANALYZE",
}  # fmt: skip


@pytest.mark.slow
def test_sql_reaches_no_file(store: FeatureStore, canary: Canary) -> None:
    before = {path: path.read_bytes() for path in store.path.rglob("*") if path.is_file()}
    answered = [text for text in FILES if not attack(lambda: store.sql(aimed(text, canary)).to_pylist(), canary)]  # noqa: B023
    assert set(answered) <= HARMLESS
    assert {path: path.read_bytes() for path in store.path.rglob("*") if path.is_file()} == before


@pytest.mark.slow
def test_where_reaches_no_file(store: FeatureStore, canary: Canary) -> None:
    tables = [aimed(text, canary) for text in FILES if text.startswith("FROM ")]
    assert len(tables) > 50
    for table in tables:
        attack(lambda: store.search(1, where=f"EXISTS ({table})").to_json(), canary)  # noqa: B023
        attack(lambda: store.catalog.items.select(f"(SELECT min(t::VARCHAR) FROM ({table}) t) > ''"), canary)  # noqa: B023


@pytest.mark.slow
@pytest.mark.parametrize("command", ["sql", "search"])
def test_the_command_line_reaches_no_file(run: Run, store_path: Path, canary: Canary, command: str) -> None:
    for text in FILES:
        statement = aimed(text, canary)
        arguments = (statement,) if command == "sql" else ("--id", "1", "--where", f"EXISTS ({statement})")
        canary.check(*run(command, store_path, *arguments)[1:])


@pytest.mark.slow
def test_no_function_of_duckdb_reaches_a_file(store: FeatureStore, canary: Canary) -> None:
    """Every function there is, with a path for each text, and for the other arguments numbers, lists and nothing."""
    connection: duckdb.DuckDBPyConnection = duckdb.connect()
    functions = connection.execute(
        """SELECT DISTINCT function_name, function_type, len(parameters), parameter_types FROM duckdb_functions()
           WHERE function_type IN ('scalar', 'table', 'table_macro', 'macro', 'pragma') AND len(parameters) BETWEEN 1 AND 4"""
    ).fetchall()
    path = canary.path("canary.csv")
    assert len(functions) > 1000
    refused = 0
    for name, kind, _, types in functions:
        if not name.isidentifier():
            continue
        values = [
            f"'{path}'" if text in ("VARCHAR", "ANY", "T", None) else f"['{path}']" if text == "VARCHAR[]" else "1"
            for text in types
        ]
        call = f'"{name}"({", ".join(values)})'
        statements = {"scalar": f"SELECT {call}", "macro": f"SELECT {call}", "pragma": f"PRAGMA {call}"}
        refused += attack(lambda: store.catalog.sql(statements.get(kind, f"FROM {call}"), 5.0), canary)  # noqa: B023
    assert refused > 100


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/limits").exists(), reason="looks into /proc")
def test_the_system_keeps_the_process_of_sql_from_files_too(shared: FeatureStore) -> None:
    """What would happen if DuckDB forgot one of its own locks."""
    shared.sql("SELECT 1")
    [(_, child)] = PROCESSES._idle

    def work() -> None:
        with suppress(QueryError):
            shared.sql(f"SELECT {ENDLESS['hash']}", 1.0)

    working = threading.Thread(target=work)
    working.start()
    time.sleep(0.5)
    limits = {
        line[:26].strip(): line[26:47].strip() for line in Path(f"/proc/{child.pid}/limits").read_text().splitlines()
    }
    open_files = [int(path.name) for path in Path(f"/proc/{child.pid}/fd").iterdir()]
    working.join()
    assert (limits["Max file size"], limits["Max core file size"]) == ("0", "0")
    limit = int(limits["Max open files"])
    assert set(range(limit)) <= set(open_files)  # the next file would get a number that is too high
