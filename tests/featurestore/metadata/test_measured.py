"""Columns of what was measured on the contents of items: who gets a value, and who loses one."""

from pathlib import Path

import duckdb
import pytest

from featurestore import FeatureStore
from featurestore.errors import QueryError
from featurestore.metadata import MEASURED, check_measured, fill_measured
from featurestore.system.spool import Spool
from tests.featurestore.metadata.annotated import csv, said, types

# the store of conftest.py: items 1 to 6


def contents(store: FeatureStore) -> dict[int, str]:
    return {row["id"]: row["sha256"] for row in store.sql("SELECT id, sha256 FROM items").to_pylist()}


def measured(store: FeatureStore, values: dict[int, float], **changed: str) -> Spool:
    """Rows of some values; changed: other contents than the items have, by id."""
    rows, known = Spool(MEASURED), contents(store)
    for item, value in values.items():
        rows.add((item, changed.get(f"i{item}", known.get(item, "")), value))
    return rows


def test_items_get_values_and_others_lose_theirs(store: FeatureStore) -> None:
    assert not check_measured(store, "rate", "rarity")
    assert fill_measured(store, "rate", "rarity", measured(store, {1: 0.5, 2: 2.0, 6: 3.0}), everywhere=True) == 3
    assert types(store) == {"rarity": "float"}
    assert said(store, "rarity") == {1: 0.5, 2: 2.0, 6: 3.0}
    assert check_measured(store, "rate", "rarity")
    assert fill_measured(store, "rate", "rarity", measured(store, {2: 4.0, 3: 1.0}), everywhere=False) == 2
    assert said(store, "rarity") == {1: 0.5, 2: 4.0, 3: 1.0, 6: 3.0}
    assert fill_measured(store, "rate", "rarity", measured(store, {5: 7.0}), everywhere=True) == 1
    assert said(store, "rarity") == {5: 7.0}


def test_an_item_with_another_content_by_now_gets_none(store: FeatureStore) -> None:
    fill_measured(store, "rate", "rarity", measured(store, {1: 1.0, 2: 2.0}), everywhere=True)
    given = measured(store, {1: 3.0, 2: 4.0, 99: 5.0}, i1="ab" * 32)
    assert fill_measured(store, "rate", "rarity", given, everywhere=True) == 1
    assert said(store, "rarity") == {2: 4.0}


def test_an_item_without_a_known_content_or_that_was_removed_gets_none(store: FeatureStore) -> None:
    given = measured(store, {1: 1.0, 2: 2.0, 3: 3.0})
    with duckdb.connect(str(store.layout.catalog)) as catalog:
        catalog.execute("UPDATE all_items SET sha256 = NULL WHERE id = 1")
        catalog.execute("UPDATE all_items SET removed_at = now()::TIMESTAMP WHERE id = 2")
    assert fill_measured(store, "rate", "rarity", given, everywhere=True) == 1
    assert said(store, "rarity") == {3: 3.0}


@pytest.mark.parametrize("value", ["0.25", "much"])
def test_a_column_of_the_user_is_refused(store: FeatureStore, tmp_path: Path, value: str) -> None:
    store.annotate(csv(tmp_path, f"id,Rarity\n1,{value}\n"))
    before = said(store, "Rarity")
    refusal = r"'Rarity': expected one that 'rate' wrote, found your own;.*--drop Rarity"
    with pytest.raises(QueryError, match=refusal):
        check_measured(store, "rate", "rarity")
    with pytest.raises(QueryError, match=refusal):
        fill_measured(store, "rate", "rarity", measured(store, {2: 2.0}), everywhere=True)
    assert said(store, "Rarity") == before


def test_a_column_that_another_command_wrote_is_refused(store: FeatureStore) -> None:
    fill_measured(store, "rate", "rarity", measured(store, {1: 1.0}), everywhere=True)
    with pytest.raises(QueryError, match="'rarity': expected one that 'count' wrote, found that of 'rate';"):
        fill_measured(store, "count", "rarity", measured(store, {2: 2.0}), everywhere=True)
    assert said(store, "rarity") == {1: 1.0}
