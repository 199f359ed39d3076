"""Searches answer from memory until the catalog changes, and never from a catalog that is no more."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featurestore import FeatureStore
from featurestore.catalog.connection import Database
from featurestore.catalog.encoded_items import EncodedItems
from tests.featurestore.fakes import paint


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """An entry for each connection to a catalog that was opened."""
    names: list[str] = []

    def noting(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*args: Any, **options: Any) -> Any:
            names.append(name)
            return original(*args, **options)

        return noted

    for name in ("connect", "run_where"):
        monkeypatch.setattr(Database, name, noting(name, getattr(Database, name)))
    return names


def test_a_warm_search_opens_no_connection(store: FeatureStore, opened: list[str]) -> None:
    first = store.search(6, k=3)
    store.knn(1)
    assert opened != []
    opened.clear()
    for _ in range(3):
        assert store.search(6, k=3).to_json() == first.to_json()
        store.search(np.ones(12), k=2)
        store.features()
        store.knn(1)
    assert opened == []


def test_a_filter_is_asked_once_unless_it_may_answer_otherwise_next_time(
    store: FeatureStore, opened: list[str]
) -> None:
    for where, again in (("label = 'mixed'", 0), ("label = 'plain'", 0), ("added_at < now()::TIMESTAMP", 1)):
        first = store.search(6, where=where)
        assert "run_where" in opened
        opened.clear()
        assert store.search(6, where=where).to_json() == first.to_json()
        assert opened == ["run_where"] * again


@pytest.mark.parametrize("change", ["label", "delete", "index", "optimize"])
def test_a_change_is_seen_by_the_next_search(
    store: FeatureStore, colours: Path, tmp_path: Path, encoder: Path, change: str
) -> None:
    other = FeatureStore.open(store.path, encoder)
    for _ in range(3):
        before = store.search(6, k=10, where="id <> 2").to_json()
    match change:
        case "label":
            (tmp_path / "labels.csv").write_text(f"path,label\n{colours}/mixed/cyan.png,renamed\n")
            other.label(tmp_path / "labels.csv")
            expected = [{**hit, "label": "renamed"} if hit["id"] == 1 else hit for hit in before]
        case "delete" | "optimize":
            other.delete("label = 'plain'")
            if change == "optimize":
                store.search(6, k=10, where="id <> 2")
                other.optimize()
            kept = [hit for hit in before if hit["label"] != "plain"]
            expected = [{**hit, "rank": rank} for rank, hit in enumerate(kept, start=1)]
        case _:
            other.index(paint(tmp_path / "more" / "red.png", (255, 0, 0)))
            new = {
                "rank": 1,
                "score": 1.0,
                "id": 7,
                "path": str(tmp_path / "more" / "red.png"),
                "label": None,
                "labels": None,
            }
            expected = [new, *({**hit, "rank": hit["rank"] + 1} for hit in before)]
    assert store.search(6, k=10, where="id <> 2").to_json() == expected


def test_every_transaction_changes_the_state_whatever_the_clock_says(store: FeatureStore) -> None:
    path = store.path / "catalog.duckdb"
    seen = set()
    for number in range(8):
        store.catalog.encoders.add(f"{number:064}", "name", 3, "{}")
        os.utime(path, ns=(5, 5))
        state = store.catalog.state()
        store.catalog.items.failures()  # reading changes nothing
        assert store.catalog.state() == state
        seen.add(state)
    assert len(seen) == 8


def test_a_log_beside_the_catalog_is_part_of_its_state(store: FeatureStore) -> None:
    before = store.catalog.state()
    (store.path / "catalog.duckdb.wal").write_bytes(b"log")
    assert store.catalog.state() != before


def test_a_vector_file_that_was_replaced_meanwhile_is_looked_for_again(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader that has read the catalog, but not yet opened the vectors, when another process optimizes."""
    other = FeatureStore.open(store.path)
    contents = EncodedItems.of_encoder

    def then_optimized(catalog: Any, encoder: str) -> Any:
        found = contents(catalog, encoder)
        if catalog is store.catalog.encoded and found.encoder.file == f"{encoder[:16]}.f16":
            other.delete("id = 1")
            other.optimize()
        return found

    monkeypatch.setattr(EncodedItems, "of_encoder", then_optimized)
    assert sorted(store.search(6, k=10).ids.tolist()) == [2, 3, 4, 5]


@pytest.mark.parametrize("read", ["select_rows", "at_rows", "by_id"])
def test_a_catalog_that_changed_while_a_search_read_it_is_read_again(
    store: FeatureStore, monkeypatch: pytest.MonkeyPatch, read: str
) -> None:
    """The first searches of a large collection read the catalog several times; all answers must be of one state."""
    monkeypatch.setattr("featurestore.storage.snapshot.SMALL", 0)
    other, genuine, calls = FeatureStore.open(store.path), getattr(EncodedItems, read), []

    def then_deleted(items: Any, *arguments: Any) -> Any:
        found = genuine(items, *arguments)
        if items is store.catalog.encoded:
            calls.append(arguments)
            if len(calls) == 1:
                other.delete("id = 2")
        return found

    monkeypatch.setattr(EncodedItems, read, then_deleted)
    assert sorted(store.search(6, k=10, where="id <> 4").ids.tolist()) == [1, 3, 5]
    assert len(calls) == 2 + (read == "by_id")  # which also reads the labels of the query


@pytest.mark.parametrize("load", [True, False])
def test_items_are_found_by_path(
    store: FeatureStore, colours: Path, monkeypatch: pytest.MonkeyPatch, load: bool
) -> None:
    monkeypatch.setattr("featurestore.storage.snapshot.SMALL", 0)
    reader = store.snapshots.now().reader(store.encoder_record(None), load)
    assert reader.may_include_removed is not load
    red = str(colours.resolve() / "primary" / "red.png")
    assert reader.ids_at([red, "/nothing.png"]) == {red: 6}
    assert reader.ids_at(["/nothing.png"]) == {}
