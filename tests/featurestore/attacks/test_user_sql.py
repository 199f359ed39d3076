"""SQL of strangers: `sql` and `where` keep their limits of time, memory and output, whatever is written."""

import resource
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import duckdb
import pytest

from featurestore import FeatureStore
from featurestore.catalog import Catalog
from featurestore.catalog.encoded_items import EncodedItems
from featurestore.catalog.items import Items
from featurestore.catalog.sql_process import LIMITS
from featurestore.catalog.where import SHORT, is_harmless, parse
from featurestore.errors import QueryError
from featurestore.maintenance.deletion import delete
from tests.featurestore.attacks.canary import Canary
from tests.featurestore.attacks.hostile_sql import ENDLESS, FLOODS, GREEDY, ask_sql, ask_where
from tests.featurestore.commands import Run

TOO_LONG = r"the SQL took more than .* s and was stopped; select less, or allow more time"
TOO_MUCH = r"it needs more memory than it may have; select less"
TOO_LARGE = r"SQL: its result has more than 1024 MB; select fewer columns, or add LIMIT"
TOO_BIG_TEXT = r"the maximum supported string size is"
LOADED = 400 << 20  # bytes of a process that has only been started, with room
QUICK = ("bignum", "lpad")


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
    monkeypatch.setattr(EncodedItems.select_rows, "__defaults__", (1.0,))
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


# -- catalogs of strangers


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
