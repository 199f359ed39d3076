"""Who wrote a column: what commands and files of the user make of it, what is told of older stores, and what a damaged or odd one says."""

from pathlib import Path

import duckdb
import pytest

from featurestore import FeatureStore
from featurestore.errors import QueryError
from featurestore.metadata import MEASURED, fill_measured
from featurestore.system.spool import Spool
from tests.featurestore.catalog.test_migrations import unpack
from tests.featurestore.metadata.annotated import csv, said

EARLIER = {"kind": "classify", "kind_confidence": "classify", "ssl_loss": "score", "suggested": "suggest"}


def writers(store: FeatureStore) -> dict[str, str]:
    found: dict[str, str] = store.info()["written_columns"]
    return found


def rate(store: FeatureStore, value: float) -> None:
    """Write a value into the column `rarity` of item 1, as a command `rate` would."""
    [row] = store.sql("SELECT sha256 FROM items WHERE id = 1").to_pylist()
    rows = Spool(MEASURED)
    rows.add((1, row["sha256"], value))
    fill_measured(store, "rate", "rarity", rows, everywhere=True)


def sql(store: FeatureStore, text: str) -> None:
    with duckdb.connect(str(store.path / "catalog.duckdb")) as connection:
        connection.execute(text)


def test_a_column_that_the_user_sets_is_theirs(store: FeatureStore, tmp_path: Path) -> None:
    rate(store, 0.5)
    assert writers(store) == {"rarity": "rate"}
    store.annotate(csv(tmp_path, "id,Rarity\n2,4.5\n"))
    assert writers(store) == {}
    with pytest.raises(QueryError, match="found your own"):
        rate(store, 0.25)
    assert said(store, "rarity") == {1: 0.5, 2: 4.5}


def test_a_column_that_was_dropped_is_nobodys(store: FeatureStore, tmp_path: Path) -> None:
    rate(store, 0.5)
    store.drop_column("RARITY")
    assert writers(store) == {}
    rate(store, 0.75)
    assert writers(store) == {"rarity": "rate"}


@pytest.mark.parametrize("known", [False, True])
def test_a_column_that_import_brings_is_the_users(
    store: FeatureStore, encoder: Path, colours: Path, tmp_path: Path, known: bool
) -> None:
    rate(store, 0.5)
    store.export_vectors(tmp_path / "v.parquet")
    other = FeatureStore.open(tmp_path / "other.store", encoder)
    if known:
        other.index(colours / "primary")
        rate(other, 0.75)
    other.import_vectors(tmp_path / "v.parquet")
    assert writers(other) == {}
    assert sorted(said(other, "rarity").values()) == ([0.5, 0.75] if known else [0.5])


def test_a_store_that_is_written_anew_knows_who_wrote(store: FeatureStore) -> None:
    rate(store, 0.5)
    store.optimize()
    assert writers(store) == {"rarity": "rate"}


@pytest.mark.parametrize("damaged", [False, True])
def test_of_an_older_store_what_can_be_told_is_told(tmp_path: Path, damaged: bool) -> None:
    old = unpack(7, tmp_path / "my.store")
    if damaged:
        FeatureStore(old, None, "cpu").catalog.repair.salvage(lambda: None)
    store = FeatureStore.open(old)
    assert list(store.info()["columns"]) == ["shelf", *EARLIER, "outlier"]
    assert writers(store) == EARLIER
    assert store.drop_classifier("kind") == ("kind", "kind_confidence")
    assert writers(store) == {"ssl_loss": "score", "suggested": "suggest"}


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("UPDATE all_items SET suggested = 'by Ada' WHERE id = 1", "suggested"),
        ("ALTER TABLE all_items ALTER ssl_loss TYPE DOUBLE", "ssl_loss"),
        ("UPDATE classifiers SET applied_at = NULL", "kind kind_confidence"),
        ("ALTER TABLE all_items ALTER kind_confidence TYPE DOUBLE", "kind_confidence"),
        ("ALTER TABLE all_items DROP kind", "kind"),
    ],
)
def test_of_an_older_store_what_cannot_be_told_is_the_users(tmp_path: Path, change: str, told: str) -> None:
    old = unpack(7, tmp_path / "my.store")
    with duckdb.connect(str(old / "catalog.duckdb")) as connection:
        connection.execute("DROP VIEW items")  # or else DuckDB changes nothing below it
        connection.execute(change)
        connection.execute("CREATE VIEW items AS SELECT * EXCLUDE (removed_at) FROM all_items WHERE removed_at IS NULL")
    assert writers(FeatureStore.open(old)) == {
        name: command for name, command in EARLIER.items() if name not in told.split()
    }


def test_a_damaged_catalog_still_says_who_wrote(store: FeatureStore) -> None:
    rate(store, 0.5)
    assert store.catalog.repair.salvage(lambda: None) == {}
    assert writers(FeatureStore.open(store.path)) == {"rarity": "rate"}


def test_where_records_disagree_the_column_is_the_users(store: FeatureStore) -> None:
    rate(store, 0.5)
    sql(store, "INSERT INTO written_columns VALUES ('Rarity', 'rate'), ('gone', 'rate'), ('path', 'rate')")
    assert writers(store) == {"rarity": "rate"}
    sql(store, "INSERT INTO written_columns VALUES ('RARITY', 'other')")
    assert writers(store) == {}
    with pytest.raises(QueryError, match="found your own"):
        rate(store, 0.25)


def test_a_column_of_another_type_than_its_command_writes_is_refused(store: FeatureStore) -> None:
    rate(store, 0.5)
    sql(store, "DROP VIEW items; ALTER TABLE all_items ALTER rarity TYPE VARCHAR")
    sql(store, "CREATE VIEW items AS SELECT * EXCLUDE (removed_at) FROM all_items WHERE removed_at IS NULL")
    with pytest.raises(QueryError, match="expected one that 'rate' wrote, of type float, found values of type string"):
        rate(store, 0.25)


def test_a_strange_name_of_a_command_is_spelled_out_and_cut(store: FeatureStore) -> None:
    rate(store, 0.5)
    sql(store, f"UPDATE written_columns SET command = chr(27) || '[2J{'x' * 999}'")
    with pytest.raises(QueryError) as error:
        rate(store, 0.25)
    assert r"\x1b[2J" in str(error.value)
    assert len(str(error.value)) < 500
