"""SQL of strangers: `sql` and `where` keep their limits of time, memory, output and files, whatever is written."""

import random
import resource
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import duckdb
import pytest

from featurestore import FeatureStore
from featurestore.catalog import Catalog
from featurestore.catalog.items import Items
from featurestore.catalog.sql_process import IDLE, LIMITS, check_expression
from featurestore.catalog.where import SHORT, is_harmless, parse
from featurestore.errors import FeatureStoreError, QueryError
from featurestore.maintenance.deletion import delete
from tests.featurestore.attacks.canary import Canary
from tests.featurestore.attacks.hostile_sql import DEEP, ENDLESS, FILES, FLOODS, GREEDY
from tests.featurestore.commands import Run

TOO_LONG = r"the SQL took more than .* s and was stopped; select less, or allow more time"
TOO_MUCH = r"it needs more memory than it may have; select less"
TOO_LARGE = r"SQL: its result has more than 1024 MB; select fewer columns, or add LIMIT"
TOO_BIG_TEXT = r"the maximum supported string size is"
LOADED = 400 << 20  # bytes of a process that has only been started, with room
QUICK = ("bignum", "lpad")


def ask_sql(store: FeatureStore, expression: str, seconds: float) -> object:
    return store.catalog.sql(f"SELECT {expression} FROM items", seconds)


def ask_where(store: FeatureStore, expression: str, seconds: float) -> object:
    return store.catalog.items.select(expression, seconds)


ROADS = [ask_sql, ask_where]
Road = Callable[[FeatureStore, str, float], object]


def peaks() -> tuple[int, int]:
    """The most bytes of memory that this process had, and any child of it that has ended; a child begins with the peak of its parent."""
    of = (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    self, children = (resource.getrusage(who).ru_maxrss << 10 for who in of)
    return self, children


def refused(store: FeatureStore, ask: Callable[[], object], seconds: float, message: str) -> None:
    """Assert that SQL ends in time with an error, and took no more memory than it may."""
    store.catalog.sql("SELECT 1", 60)  # so that its process has started
    (before, child_before), began = peaks(), time.monotonic()
    with pytest.raises(QueryError, match=message):
        ask()
    assert time.monotonic() - began < seconds + 1
    self, children = peaks()
    assert self < before + (100 << 20)
    assert children < max(child_before, self, LIMITS.memory) + LOADED


# -- time


@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize(
    "name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in ENDLESS]
)
def test_endless_sql_is_stopped(shared: FeatureStore, name: str, road: Road) -> None:
    seconds = 0.2 if name in QUICK else 1.0
    refused(shared, lambda: road(shared, ENDLESS[name], seconds), seconds, f"{TOO_LONG}|{TOO_MUCH}")


@pytest.mark.slow
@pytest.mark.parametrize("name", [*QUICK, "lambda", "signs"])
def test_endless_sql_is_stopped_in_each_command(
    run: Run,
    store_path: Path,
    canary: Canary,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    colours: Path,
    other_encoder: Path,
) -> None:
    """`where` has 30 s in all of them; here one, so that the test ends."""
    monkeypatch.setattr(Items.select, "__defaults__", (1.0, False))
    monkeypatch.setattr(Items.select_rows, "__defaults__", (1.0,))
    monkeypatch.setattr(delete, "__defaults__", (False, 1.0, False))
    where = ("--where", ENDLESS[name])
    commands: list[tuple[str | Path, ...]] = [
        ("sql", store_path, f"SELECT {ENDLESS[name]} FROM items", "--seconds", "1"),
        ("search", store_path, "--id", "1", *where),
        ("delete", store_path, *where),
        ("knn", store_path, *where),
        ("linear", store_path, *where),
        ("retrieval", store_path, *where),
        ("lowshot", store_path, *where),
        ("report", store_path, "--out", canary.folder.parent / "report.html", *where),
        ("classify", store_path, "--train", "--name", "colour", *where),
        ("compare", store_path, *where),
    ]
    FeatureStore.open(store_path, other_encoder).index(colours)
    for command in commands:
        began = time.monotonic()
        status, out, err = run(*command)
        assert (command[0], status, "took more than 1 s" in err or "more memory" in err) == (command[0], 1, True), err
        assert time.monotonic() - began < 3, command
        canary.check(out, err)
    assert FeatureStore.open(store_path).info()["items"] == 6


# -- memory and output


@pytest.mark.slow
@pytest.mark.parametrize("road", ROADS)
@pytest.mark.parametrize("name", GREEDY)
def test_greedy_sql_gets_no_more_memory_than_it_may(shared: FeatureStore, name: str, road: Road) -> None:
    ending = "|".join((TOO_MUCH, TOO_LONG, TOO_BIG_TEXT))
    refused(shared, lambda: road(shared, GREEDY[name], 8.0), 8.0, ending)


@pytest.mark.slow
@pytest.mark.parametrize("name", FLOODS)
def test_a_result_is_bounded(shared: FeatureStore, name: str) -> None:
    """The result arrives in this process, so this one may grow by it."""
    shared.sql("SELECT 1")
    before, child_before = peaks()
    with pytest.raises(QueryError, match="|".join((TOO_LARGE, TOO_MUCH, TOO_LONG))):
        shared.sql(FLOODS[name], 30)
    self, children = peaks()
    assert self < before + (1300 << 20)
    assert children < max(child_before, self, LIMITS.memory) + LOADED


@pytest.mark.slow
def test_printing_a_large_result_takes_little_more_memory_than_the_result(run: Run, store_path: Path) -> None:
    before = peaks()[0]
    for options in ((), ("--json",)):
        status, out, _ = run("sql", store_path, "SELECT range AS x FROM range(1000000)", *options)
        assert (status, out.count("999999")) == (0, 1)
    assert peaks()[0] < before + (400 << 20)


# -- parsing


@pytest.mark.parametrize("name", ["NOT", "plus", "closed brackets", "too long"])
def test_a_deep_or_long_where_is_refused_by_name(shared: FeatureStore, name: str) -> None:
    with pytest.raises(QueryError, match=r"expected at most (200 levels of operators|100000 characters)") as caught:
        check_expression(DEEP[name])
    assert len(str(caught.value)) < 600


@pytest.mark.slow
@pytest.mark.parametrize("name", DEEP)
def test_a_deep_statement_ends_nothing_but_itself(shared: FeatureStore, name: str) -> None:
    asks: list[Callable[[], object]] = [
        lambda: ask_sql(shared, DEEP[name], 2.0),
        lambda: ask_where(shared, DEEP[name], 2.0),
        lambda: shared.search(1, where=DEEP[name]),
    ]
    for ask in asks:
        began = time.monotonic()
        said = ""
        try:
            ask()
        except QueryError as error:
            said = str(error)
        assert len(said) < 2_000
        assert time.monotonic() - began < 40  # a search has 30 s for its `where`
    assert shared.sql("SELECT count(*) AS n FROM items").to_pylist() == [{"n": 6}]


@pytest.mark.slow
def test_what_is_parsed_here_is_parsed_in_no_time() -> None:
    """Random repetitions of tokens, of the greatest length that is parsed in this process."""
    tokens = [
        "a",
        "1",
        "'x'",
        "NOT",
        "AND",
        "OR",
        "+",
        "-",
        "*",
        "/",
        "||",
        "=",
        "<",
        "IN",
        "(",
        ")",
        "[",
        "]",
        ",",
        ".",
        "::",
        "INT",
        "IS",
        "NULL",
        "LIKE",
        "BETWEEN",
        "CASE",
        "WHEN",
        "THEN",
        "END",
        "SELECT",
        "FROM",
        "WHERE",
        "f(",
        "lambda",
        "x",
        ":",
        "CAST(",
        "AS",
        "EXISTS(",
        "{",
        "}",
        "?",
        "@",
        "!",
        "~",
        "^",
        "%",
    ]
    draw = random.Random(5)
    for _ in range(400):
        unit = " ".join(draw.choices(tokens, k=draw.randint(1, 4)))
        text = f"{draw.choice(tokens)} {unit * SHORT}"[:SHORT]
        began = time.process_time()
        with suppress(QueryError):
            check_expression(text)
        assert time.process_time() - began < 2, text


# -- which expressions run in this process


@pytest.mark.parametrize(
    ("where", "harmless"),
    [
        ("label = 'rose' AND width > 100", True),
        ("NOT (label IN ('rose', 'tulip') OR split IS NULL)", True),
        ("path LIKE '%/roses/%' AND width BETWEEN 1 AND 2", True),
        ("label IS DISTINCT FROM NULL AND id NOT IN (1, 2)", True),
        ("upper(label) = 'ROSE'", False),
        ("label::INT = 1", False),
        ("width + 1 > 2", False),
        ("label || 'x' = 'y'", False),
        ("-width > 1", False),
        ("label = path", False),
        ("label IN (path)", False),
        ("width BETWEEN 1 AND height", False),
        ("path LIKE label", False),
        ("path LIKE '%a_b%'", False),
        ("upper(path) LIKE 'a%'", False),
        ("path ILIKE 'a'", False),
        ("path SIMILAR TO '(a*)*'", False),
        ("path LIKE 'a' ESCAPE 'b'", False),
        (f"path = {'9' * 39}", False),
        (f"path = 1e{'9' * 38}", False),
        ("id IN (SELECT id FROM items)", False),
        ("label COLLATE NOCASE = 'x'", False),
        ("labels[1] = 'x'", False),
        ("CASE WHEN label = 'x' THEN TRUE END", False),
        ("added_at < now()", False),
        ("label = ANY(['x'])", False),
        ("[1] = [1]", False),
        ("'x' IN labels", False),
        ("COLUMNS(*) IS NULL", False),
        ("label = $1", False),
        ("DATE '2020-01-01' < added_at", False),
        ("x'00' = label", False),
        ("EXISTS (SELECT 1)", False),
    ],
)
def test_only_harmless_forms_run_in_this_process(where: str, harmless: bool) -> None:
    assert is_harmless(parse(where)) == harmless


@pytest.mark.slow
@pytest.mark.parametrize(
    "where",
    [
        "path LIKE '%a%a%b'",
        " OR ".join([f"path LIKE '%{'a' * 12}b%'"] * 30),
        "path = 5",
        "path = 1.5",
        f"path = {'9' * 38}",
        f"path > '{'a' * 900}'",
        "path IN (1, 2, 3)",
        "number = 5",
        f"number = '{'7' * 900}'",
        "number IS NOT NULL AND NOT number = 5",
    ],
)
def test_long_values_of_a_strangers_catalog_keep_the_limits(store_path: Path, where: str) -> None:
    """Texts of 100 MB, and a number of 300,000 digits."""
    with duckdb.connect(str(store_path / "catalog.duckdb")) as maker:
        maker.execute("UPDATE all_items SET path = repeat('a', 100000000) WHERE id < 4")
        maker.execute("ALTER TABLE all_items ADD COLUMN number VARCHAR")
        maker.execute("UPDATE all_items SET number = repeat('7', 300000)")
        maker.execute(
            "CREATE OR REPLACE VIEW items AS SELECT * EXCLUDE (removed_at) FROM all_items WHERE removed_at IS NULL"
        )
    catalog = Catalog(store_path / "catalog.duckdb")
    catalog.sql("SELECT 1", 60)
    before, began = peaks()[0], time.monotonic()
    said = ""
    try:
        catalog.items.select(where, 2.0)
    except QueryError as error:
        said = str(error)
    assert len(said) < 2_000
    assert time.monotonic() - began < 3.5
    assert peaks()[0] < before + (100 << 20)


@pytest.mark.slow
def test_many_patterns_over_values_of_some_thousand_characters_keep_the_limits(store_path: Path) -> None:
    """DuckDB compares 2,048 values with all patterns before it looks at its limit."""
    with duckdb.connect(str(store_path / "catalog.duckdb")) as maker:
        [names] = maker.execute(
            "SELECT list(column_name) FROM duckdb_columns() WHERE table_name = 'all_items'"
        ).fetchall()
        of = {"id": "100 + range", "path": "repeat('a', 9000) || range"}
        row = ", ".join(of.get(name, "NULL") for name in names[0])
        maker.execute(f"INSERT INTO all_items SELECT {row} FROM range(2048)")
    catalog = Catalog(store_path / "catalog.duckdb")
    catalog.sql("SELECT 1", 60)
    where = " OR ".join(f"path LIKE '%aaaaaaaaaaaaaaab{n}%'" for n in range(28))
    assert len(where) < SHORT
    assert is_harmless(parse(where))
    began = time.monotonic()
    with suppress(QueryError):
        catalog.items.select(where, 0.5)
    assert time.monotonic() - began < 2.5


# -- files


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
    [(_, child)] = IDLE._idle

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
