"""Every column of every table with values that featurestore never writes: each command ends in one line or works; nothing is read or written elsewhere."""

import shutil
from pathlib import Path

import duckdb
import pytest

from featurestore import FeatureStore
from featurestore.catalog.schema import COLUMNS
from featurestore.errors import StoreUntrusted
from tests.featurestore.attacks.canary import Canary
from tests.featurestore.commands import Run

VALUES: dict[str, list[object]] = {  # by type
    "VARCHAR": [None, "", "{canary}", "../../canary/deep/canary.f16", '\x1b[2J<b>"\u202e\n', '{"a":'],
    "INTEGER": [None, -1, 0, 2**31 - 1],
    "BIGINT": [None, -1, 0, 2**63 - 1],
    "TIMESTAMP": [None, "infinity", "290000-01-01 (BC)"],
    "VARCHAR[]": [None, [], [None], ["a", "a", ""]],
    "BLOB": [None, b"", b"\xff" * 104],
}
CARD = '{"method": "m", "backbone": "b", "branch": "b", "trained_on": {"count": 1}, "preprocess": {"size": 1}, "other": "x"}'
COMMANDS = (
    "search {store} --id 1", "search {store} {image}", "info {store}", "failures {store}", "encoders {store}", "sources {store}", "knn {store}",
    "classify {store} --apply kind", "verify {store}", "label {store} {table}", "index {store} {source}", "export-vectors {store} {out}",
    "delete {store} --where id=2", "optimize {store}", "verify {store} --repair", "search {store} --id 1",
)  # fmt: skip


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory, indexed: Path, colours: Path) -> Path:
    """A store with a row in every table."""
    store = Path(shutil.copytree(indexed, tmp_path_factory.mktemp("filled") / "filled.store"))
    opened = FeatureStore.open(store)
    labels = store.with_name("labels.csv")
    labels.write_text(f"path,label\n{colours / 'mixed' / 'cyan.png'},rose\n")
    opened.label(labels)
    opened.train_classifier("kind", method="nearest-mean")
    with duckdb.connect(str(store / "catalog.duckdb")) as maker:
        maker.execute("INSERT INTO failures VALUES ('/x.png', 'broken', now()::TIMESTAMP)")
        maker.execute("INSERT INTO deleted VALUES ('/x.png', 'abc', now()::TIMESTAMP)")
        maker.execute(
            """INSERT INTO indexes SELECT fingerprint, 1, fingerprint[:16] || '-1.faiss', file, rows, 10, '00', '{"settings": [], "curve": []}', now()
               FROM encoders"""
        )
        assert all(maker.execute(f"SELECT count(*) FROM {table}").fetchall() != [(0,)] for table in COLUMNS)
    return store


def with_value(filled: Path, store: Path, table: str, column: str, value: object) -> None:
    shutil.copytree(filled, store)
    with duckdb.connect(str(store / "catalog.duckdb")) as maker:
        maker.execute(f'UPDATE {table} SET "{column}" = ?', [value])


@pytest.mark.slow
@pytest.mark.parametrize(
    ("table", "column"), [(table, column) for table, columns in COLUMNS.items() for column in columns]
)
def test_no_value_ends_a_command_in_the_midst(
    filled: Path, table: str, column: str, tmp_path: Path, colours: Path, canary: Canary, run: Run
) -> None:
    (tmp_path / "table.csv").write_text(f"path,label\n{colours / 'mixed' / 'cyan.png'},tulip\n")
    names = {
        "image": colours / "mixed" / "cyan.png",
        "source": colours,
        "table": tmp_path / "table.csv",
        "out": tmp_path / "v.parquet",
    }
    wrong = []
    for number, value in enumerate(VALUES[COLUMNS[table][column]]):
        store = tmp_path / f"{number}.store"
        with_value(filled, store, table, column, str(canary.path()) if value == "{canary}" else value)
        for command in COMMANDS:
            status, out, err = run(*command.format(store=store, **names).split())
            canary.check(out, err)
            if status not in (0, 1) or "Traceback" in err:
                wrong.append((value, command.split()[0], err.strip().splitlines()[-1:]))
        shutil.rmtree(store)
    assert wrong == []


@pytest.mark.parametrize(
    ("table", "column", "value"),
    [
        ("meta", "schema_version", None), ("meta", "next_item", 2**63 - 1), ("encoders", "dim", -1), ("encoders", "card", "{}"), ("blocks", "rows", None),
        ("classifiers", "weights", None), ("sources", "exclude", [None]),
        ("encoders", "card", CARD.replace('"x"', "9" * 5000)), ("encoders", "card", CARD.replace('"x"', "[" * 10_000 + "]" * 10_000)),
        ("encoders", "card", CARD.replace('"backbone": "b"', '"backbone": []')), ("encoders", "card", CARD.replace('{"count": 1}', "[1]")),
        ("encoders", "card", CARD.replace('"size": 1', '"size": 1, "bands": 5')), ("indexes", "card", "[]"),
    ],
)  # fmt: skip
def test_a_value_that_makes_no_sense_is_named(
    filled: Path, tmp_path: Path, table: str, column: str, value: object
) -> None:
    with_value(filled, tmp_path / "odd.store", table, column, value)
    with pytest.raises(StoreUntrusted, match=f"{table}|schema|the card"):
        FeatureStore.open(tmp_path / "odd.store").info()


def test_the_card_of_a_classifier_has_its_parts(filled: Path, tmp_path: Path) -> None:
    """Its checksum is that of a stranger, too."""
    with_value(filled, tmp_path / "odd.store", "classifiers", "card", '{"figures": 5}')
    with duckdb.connect(str(tmp_path / "odd.store" / "catalog.duckdb")) as maker:
        maker.execute("UPDATE classifiers SET sha256 = sha256(encode(card) || weights)")
    with pytest.raises(StoreUntrusted, match="the card"):
        FeatureStore.open(tmp_path / "odd.store").info()
