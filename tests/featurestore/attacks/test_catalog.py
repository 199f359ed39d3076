"""Catalogs of strangers that hold programs: views, macros, triggers and the like. None runs; each is named."""

import shutil
from pathlib import Path

import duckdb
import pytest

from featurestore import FeatureStore
from featurestore.catalog import sql_process
from featurestore.cli import MODULES
from featurestore.errors import StoreError, StoreUntrusted
from tests.featurestore.attacks.canary import Canary
from tests.featurestore.commands import Run

ITEMS = "DROP VIEW items; CREATE VIEW items AS SELECT * EXCLUDE (removed_at) FROM all_items"


def altered(change: str) -> str:
    """Change a column of all items, and make the view of items as it was."""
    drop, create = ITEMS.split("; ")
    return f"{drop}; ALTER TABLE all_items {change}; {create} WHERE removed_at IS NULL"


# What the maker of the catalog ran, and what the error must name. {json}, {txt} and {folder} are a canary's.
HOSTILE = {
    "a view that writes a profile": (f"{ITEMS}, enable_profiling(format := 'json', save_location := '{{json}}')", "the view items"),
    "a view that writes logs": (f"{ITEMS}, enable_logging(storage := 'file', storage_path := '{{folder}}/logs')", "the view items"),
    "a view that shows a file": (
        "DROP VIEW items; CREATE VIEW items AS SELECT * EXCLUDE (removed_at) REPLACE ((SELECT content FROM read_text('{txt}')) AS label) "
        "FROM all_items",
        "the view items",
    ),
    "a view that never ends": (f"{ITEMS} WHERE (SELECT count(*) FROM range(10000000000) a, range(10000000000) b) > 0", "the view items"),
    "a view that changes items": (f"{ITEMS} WHERE removed_at IS NULL AND label <> 'plain'", "the view items"),
    "a view of a table": (
        "ALTER TABLE encoders RENAME TO other; CREATE VIEW encoders AS SELECT * FROM other, read_text('{txt}')",
        "the table other, the view encoders",
    ),
    "a view of ours in another schema": ("CREATE SCHEMA s; CREATE VIEW s.items AS FROM all_items", "the schema s, the view items"),
    "a macro that replaces count": ("CREATE MACRO count(x) AS 7", "the macro count"),
    "a macro that replaces an operator": ("CREATE MACRO \"||\"(a, b) AS 'other'", "the macro ||"),
    "a macro that replaces the list of tables": ("CREATE MACRO duckdb_tables() AS TABLE SELECT 1", "the macro duckdb_tables"),
    "a macro that reads": ("CREATE MACRO lower(x) AS (SELECT content FROM read_text('{txt}'))", "the macro lower"),
    "a trigger on labels": (
        "CREATE TRIGGER t AFTER UPDATE ON all_items FOR EACH STATEMENT UPDATE meta SET next_item = 1", "the trigger t",
    ),
    "a trigger that reads": (
        "CREATE TRIGGER t AFTER INSERT ON label_history FOR EACH STATEMENT INSERT INTO failures SELECT 'x', content, now()::TIMESTAMP "
        "FROM read_text('{txt}')",
        "the trigger t",
    ),
    "a type": ("CREATE TYPE mood AS ENUM ('good', 'bad')", "the type mood"),
    "a sequence": ("CREATE SEQUENCE counter", "the sequence counter"),
    "an index": ("CREATE INDEX first ON all_items (label)", "the index first"),
    "a schema": ("CREATE SCHEMA elsewhere", "the schema elsewhere"),
    "a table": ("CREATE TABLE notes (text TEXT)", "the table notes"),
    "a default": ("ALTER TABLE failures ALTER reason SET DEFAULT getvariable('x')", "the table failures with a default"),
    "a constraint": ("ALTER TABLE meta ALTER next_item SET NOT NULL", "the table meta with a default"),
    "a generated column": (
        "DROP TABLE failures; CREATE TABLE failures (path TEXT, reason TEXT GENERATED ALWAYS AS (path || 'x'), seen_at TIMESTAMP)",
        "the table failures with a default",
    ),
    "a default for a column of the user": ("ALTER TABLE all_items ADD COLUMN shelf INT DEFAULT 5", "the table all_items with a default"),
    "a collation": ("ALTER TABLE all_items ADD COLUMN shelf TEXT COLLATE NOCASE", "the table all_items with a default"),
    "a column of ours with another type": ("ALTER TABLE encoders ALTER dim TYPE TEXT", "the column dim of encoders with the type VARCHAR"),
    "one column too many": ("ALTER TABLE vectors ADD COLUMN x INT", "the column x of vectors with the type INTEGER"),
    "a column of the user that is nested": ("ALTER TABLE all_items ADD COLUMN x STRUCT(a INT)", "the column x of all_items with the type STRUCT"),
    "a column of the user that is an ENUM": ("ALTER TABLE all_items ADD COLUMN x ENUM('a')", "the column x of all_items with the type ENUM"),
    "a column of items with another type": (altered("ALTER id TYPE TEXT"), "the column id of all_items"),
    "labels that are no list": (altered("ALTER labels TYPE TEXT"), "the column labels of all_items"),
    "brightness that is no number": (altered("ALTER brightness TYPE TEXT"), "the column brightness of all_items"),
    "a column that hides the places of rows": (altered("ADD COLUMN RowId BIGINT"), "the column RowId of all_items"),
    "a long name with escapes": ("CREATE TABLE \"\x1b[2J" + "x" * 500 + '" (a INT)', "the table \\x1b[2Jxxx"),
    "a hundred things": (" ; ".join(f"CREATE TABLE t{n} (a INT)" for n in range(100)), "and 95 more"),
}  # fmt: skip

# Every command of a store, with what it needs; {source} is a folder of images, {table} a CSV, {out} a folder.
COMMANDS = {
    "search": "--id 1",
    "neighbours": "--out {out}/n.parquet",
    "serve": "--port 0 --no-browser",
    "info": "",
    "failures": "",
    "sql": "SELECT * FROM items",
    "knn": "",
    "linear": "",
    "lowshot": "",
    "retrieval": "",
    "compare": "--encoder rgb --encoder rgb",
    "duplicates": "",
    "leaks": "",
    "outliers": "",
    "label-errors": "",
    "clusters": "",
    "suggest": "",
    "coverage": "",
    "report": "--out {out}/report.html",
    "classify": "--apply kind",
    "index": "{source}",
    "label": "{table}",
    "annotate": "{table}",
    "encoders": "",
    "sources": "",
    "relocate": "/a /b",
    "delete": "--where TRUE",
    "optimize": "",
    "verify": "",
    "export-vectors": "{out}/v.parquet",
    "import-vectors": "{out}/v.parquet",
    "whiten": "--out {out}/white.onnx",
}


QUICK = (
    "a view that writes a profile", "a view of a table", "a macro that replaces count", "a trigger on labels", "a default", "a generated column",
    "a collation", "a hundred things",
)  # fmt: skip


@pytest.fixture(params=[name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in HOSTILE])
def attack(request: pytest.FixtureRequest, store_path: Path, canary: Canary) -> str:
    """Make the catalog of `store_path` hostile; give what the error must name."""
    statements, named = HOSTILE[request.param]
    corrupt(store_path, statements, canary)
    return named


def corrupt(store: Path, statements: str, canary: Canary) -> None:
    names = {"{json}": canary.path(), "{txt}": canary.path("canary.txt"), "{folder}": canary.folder}
    for placeholder, path in names.items():
        statements = statements.replace(placeholder, str(path))
    with duckdb.connect(str(store / "catalog.duckdb")) as maker:
        maker.execute(statements)


def test_a_hostile_catalog_is_refused_by_name(attack: str, store_path: Path, canary: Canary, run: Run) -> None:
    before = (store_path / "catalog.duckdb").read_bytes()
    for opening in (FeatureStore.open, FeatureStore.verify):
        with pytest.raises(
            StoreUntrusted, match="expected the tables of featurestore and nothing else, found"
        ) as error:
            opening(store_path)
        assert attack in str(error.value)
        assert len(str(error.value)) < 1000
    status, out, err = run("search", store_path, "--id", "1")
    assert (status, out) == (1, "")
    assert attack in err
    assert (store_path / "catalog.duckdb").read_bytes() == before
    canary.check(str(error.value), err)


def test_one_hostile_store_of_two_is_refused(store_path: Path, tmp_path: Path, canary: Canary, run: Run) -> None:
    own = shutil.copytree(store_path, tmp_path / "own.store")
    statements, named = HOSTILE["a view that writes a profile"]
    corrupt(store_path, statements, canary)
    for stores in ((own, store_path), (store_path, own), (store_path, store_path)):
        status, out, err = run("compare", *stores, "--no-linear")
        assert (status, out) == (1, "")
        assert named in err
    canary.check()


def test_each_command_of_a_store_is_attacked() -> None:
    assert set(COMMANDS) == set(MODULES) - {"attention"}  # which takes an encoder


@pytest.mark.slow
@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_runs_what_a_catalog_holds(
    attack: str, command: str, store_path: Path, colours: Path, canary: Canary, tmp_path: Path, run: Run
) -> None:
    (tmp_path / "table.csv").write_text("path,label\nx.png,rose\n")
    (tmp_path / "out").mkdir()
    names = {
        "pixel": colours / "mixed" / "cyan.png",
        "source": colours,
        "table": tmp_path / "table.csv",
        "out": tmp_path / "out",
    }
    arguments = [COMMANDS[command]] if command == "sql" else COMMANDS[command].format(**names).split()
    before = (store_path / "catalog.duckdb").read_bytes()
    status, out, err = run(command, store_path, *arguments)
    assert (status, out) == (1, "")
    assert attack in err
    assert list((tmp_path / "out").iterdir()) == []
    assert (store_path / "catalog.duckdb").read_bytes() == before
    canary.check(out, err)


@pytest.mark.parametrize("same_inode", [False, True])
def test_a_catalog_is_checked_again_when_its_file_was_replaced(
    store: FeatureStore, store_path: Path, canary: Canary, same_inode: bool
) -> None:
    catalog = store_path / "catalog.duckdb"
    assert store.info()["items"] == 6
    other = store_path.with_name("other.duckdb")
    other.write_bytes(catalog.read_bytes())
    with duckdb.connect(str(other)) as maker:
        maker.execute("CREATE MACRO count(x) AS 7")
    if same_inode:  # a new file may get the number of one that was deleted
        catalog.write_bytes(other.read_bytes())
    else:
        other.replace(catalog)
    for ask in (
        lambda: store.sql("SELECT count(*) FROM items"),
        lambda: store.knn(where="label = 'plain'"),
        store.info,
    ):
        with pytest.raises(StoreUntrusted, match="the macro count"):
            ask()


@pytest.mark.parametrize(
    "statements",
    [
        "ALTER TABLE all_items ADD COLUMN \"odd \"\" (name), 'x'; DEFAULT 5\" INTEGER",
        "ALTER TABLE all_items ADD COLUMN d DECIMAL(9,2); ALTER TABLE all_items ADD COLUMN t TIMESTAMPTZ; ALTER TABLE all_items ADD COLUMN u UTINYINT",
        "COMMENT ON TABLE meta IS 'mine'",
    ],
)  # fmt: skip
def test_columns_of_users_with_odd_names_are_welcome(store_path: Path, canary: Canary, statements: str) -> None:
    corrupt(store_path, f"{statements}; {ITEMS} WHERE removed_at IS NULL", canary)
    assert FeatureStore.open(store_path).info()["items"] == 6


def leave_log(store: Path, *statements: str) -> Path:
    """Give a catalog a log, as a program does that ends in the midst."""
    with duckdb.connect(str(store / "catalog.duckdb")) as maker:
        maker.execute("PRAGMA disable_checkpoint_on_shutdown")
        for statement in statements:
            maker.execute(statement)
    return store / "catalog.duckdb.wal"


def test_a_log_calculates_nothing(store_path: Path, run: Run) -> None:
    """Only the log shows the expression that is to run: the column that it fills is dropped again."""
    costly = "ALTER TABLE all_items ALTER n TYPE BIGINT USING (list_sum(range(1000 + id)))"
    log = leave_log(
        store_path, "ALTER TABLE all_items ADD COLUMN n BIGINT", costly, "ALTER TABLE all_items DROP COLUMN n"
    )
    before = log.read_bytes()
    with pytest.raises(StoreError, match="replaying WAL"):
        FeatureStore.open(store_path)
    status, out, err = run("info", store_path)
    assert (status, out) == (1, "")
    assert "replaying WAL" in err
    assert log.read_bytes() == before


def test_a_log_that_takes_too_long_is_refused(store_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = leave_log(store_path, "UPDATE all_items SET label = 'other'")
    with monkeypatch.context() as patch:
        patch.setattr(sql_process, "OPEN_SECONDS", 0.0)
        with pytest.raises(StoreUntrusted, match="expected a log that can be applied within 0 s"):
            FeatureStore.open(store_path)
    assert log.exists()
    assert FeatureStore.open(store_path).info()["labels"] == {"other": 6}


def test_a_catalog_of_a_newer_version_is_not_called_hostile(store_path: Path, canary: Canary) -> None:
    corrupt(store_path, "CREATE TABLE future (a INT); UPDATE meta SET schema_version = 99", canary)
    with pytest.raises(StoreError, match=r"has schema 99, .* upgrade featurestore") as error:
        FeatureStore.open(store_path)
    assert not isinstance(error.value, StoreUntrusted)


@pytest.fixture(scope="module")
def own_store(indexed: Path, tmp_path_factory: pytest.TempPathFactory) -> FeatureStore:
    """A copy of the shared store, for statements that are refused."""
    return FeatureStore.open(shutil.copytree(indexed, tmp_path_factory.mktemp("own") / "own.store"))


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_text('{txt}')", "SELECT * FROM read_csv('{txt}')", "SELECT * FROM glob('{folder}/*')", "COPY (SELECT 1) TO '{json}'",
        "ATTACH '{folder}/new.duckdb' AS other", "SELECT * FROM enable_profiling(format := 'json', save_location := '{json}')",
        "SELECT * FROM enable_logging(storage := 'file', storage_path := '{folder}/logs')", "SET memory_limit = '1TB'",
        "SET enable_external_access = TRUE", "EXPORT DATABASE '{folder}/all'", "INSTALL httpfs", "LOAD '{json}'", "PRAGMA enable_profiling",
        "CREATE PERSISTENT SECRET s (TYPE http)", "SET temp_directory = '{folder}'", "SET allowed_directories = ['/']",
    ],
)  # fmt: skip
@pytest.mark.parametrize("read_only", [True, False])
def test_our_own_connections_reach_no_other_file(
    own_store: FeatureStore, canary: Canary, sql: str, read_only: bool
) -> None:
    """What would happen if some content got past the check."""
    statement = sql.replace("{txt}", str(canary.path("canary.txt"))).replace("{json}", str(canary.path()))
    database = own_store.catalog._database
    with database.connect(read_only) as connection, pytest.raises(duckdb.Error):
        connection.execute(statement.replace("{folder}", str(canary.folder))).fetchall()
    canary.check()
