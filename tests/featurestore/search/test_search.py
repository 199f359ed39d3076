"""Searching, measuring and reading a store. The expected numbers are cosines of colours."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from featurestore import FeatureStore
from featurestore.ann.search import search_vectors
from featurestore.errors import QueryError, StoreCorrupt
from tests.featurestore.evaluation.labelled import labelled_store
from tests.featurestore.fakes import COLOURS, paint, unit

CYAN, YELLOW, WHITE, BLUE, GREEN, RED = range(1, 7)  # ids of the shared store
HALF, THIRD, TWO_THIRDS = math.sqrt(1 / 2), math.sqrt(1 / 3), math.sqrt(2 / 3)


# -- search


@pytest.mark.parametrize(
    ("name", "ids", "scores"),
    [
        ("red", [RED, YELLOW, WHITE, CYAN, BLUE, GREEN], [1, HALF, THIRD, 0, 0, 0]),
        ("white", [WHITE, CYAN, YELLOW, BLUE, GREEN, RED], [1, TWO_THIRDS, TWO_THIRDS, THIRD, THIRD, THIRD]),
        ("green", [GREEN, CYAN, YELLOW, WHITE, BLUE, RED], [1, HALF, HALF, THIRD, 0, 0]),
        ("cyan", [CYAN, WHITE, BLUE, GREEN, YELLOW, RED], [1, TWO_THIRDS, HALF, HALF, 0.5, 0]),
    ],
)
def test_hits_come_in_the_order_of_their_cosines(
    shared: FeatureStore, tmp_path: Path, name: str, ids: list[int], scores: list[float]
) -> None:
    found = shared.search(paint(tmp_path / "query.png", COLOURS[name], size=32))
    assert found.ids.tolist() == ids
    np.testing.assert_allclose(found.scores, scores, atol=2e-3)
    names = {number: Path(path).stem for number, path in zip(found.ids.tolist(), found.paths, strict=True)}
    assert names == {1: "cyan", 2: "yellow", 3: "white", 4: "blue", 5: "green", 6: "red"}
    assert found.labels == [{1: "mixed", 2: "mixed", 3: "plain"}.get(i, "primary") for i in ids]


def test_an_item_finds_the_others(shared: FeatureStore) -> None:
    found = shared.search(RED, k=3)
    assert found.ids.tolist() == [YELLOW, WHITE, CYAN]
    np.testing.assert_allclose(found.scores, [HALF, THIRD, 0], atol=2e-3)
    assert [(Path(str(shown.picture)).name, shown.name) for shown in found.query] == [("red.png", f"item {RED}")]
    assert found.query_labels == ("primary",)
    assert shared.search(found.ids[0], k=1).ids.tolist() == [WHITE]


def test_a_search_tells_what_was_asked_and_the_label_of_its_query(shared: FeatureStore, colours: Path) -> None:
    found = shared.search(colours / "primary/red.png", k=2, where="label != 'plain'")
    facts = dict(found.facts)
    assert facts.pop("encoder").startswith("quadrants-")
    assert facts == {"store": "colours.store", "k": "2", "filter": "label != 'plain'"}
    assert found.query_labels == ("primary",)  # known by its path, which is among the hits
    assert shared.search([RED, BLUE]).query_labels == ("primary",)
    assert shared.search([RED, YELLOW]).query_labels == ()
    assert shared.search([RED], exclude=[BLUE]).query_labels == ()


def test_examples_are_searched_by_their_mean(shared: FeatureStore) -> None:
    found = shared.search([RED, BLUE])
    assert found.ids.tolist() == [WHITE, CYAN, YELLOW, GREEN]
    np.testing.assert_allclose(found.scores, [TWO_THIRDS, 0.5, 0.5, 0], atol=2e-3)
    assert shared.search([RED], exclude=[YELLOW], k=1).ids.tolist() == [WHITE]
    assert shared.search([RED, BLUE], weights=[9, 1], k=1).ids.tolist() == [YELLOW]


@pytest.mark.parametrize("k", [1, 5, 6, 1000])
def test_k_hits_come_back_when_there_are_so_many(shared: FeatureStore, k: int) -> None:
    assert len(shared.search(unit((255, 0, 0)), k=k)) == min(k, 6)
    assert len(shared.search(RED, k=k)) == min(k, 5)


@pytest.mark.parametrize(
    ("where", "ids"),
    [
        ("label <> 'primary'", [YELLOW, WHITE, CYAN]),
        (f"label = 'mixed' OR id = {RED}", [YELLOW, CYAN]),  # no item is a hit of itself
        ("id IN (SELECT id FROM items WHERE path LIKE '%blue%')", [BLUE]),
        ("FALSE", []),
        ("split = 'train'", []),
    ],
)
def test_where_limits_the_hits(shared: FeatureStore, where: str, ids: list[int]) -> None:
    assert shared.search(RED, where=where).ids.tolist() == ids


def test_a_where_still_gives_k_hits_when_k_exist(shared: FeatureStore) -> None:
    assert shared.search(unit((255, 0, 0)), k=2, where="label = 'primary'").ids.tolist() == [RED, BLUE]


@pytest.mark.parametrize(
    ("query", "asked", "ids"),
    [
        (RED, {"above": 0.5}, [YELLOW, WHITE]),
        (RED, {"above": 0.5, "k": 1}, [YELLOW]),
        (RED, {"above": 0.99}, []),
        (unit((255, 0, 0)), {"unique": 0.7}, [RED, WHITE, BLUE, GREEN]),  # yellow goes with red, cyan with white
        (unit((255, 0, 0)), {"unique": 0.97}, [RED, YELLOW, WHITE, CYAN, BLUE, GREEN]),
        (unit((255, 0, 0)), {"unique": 0.7, "k": 2}, [RED, WHITE]),
        (unit((255, 0, 0)), {"unique": 0.7, "above": 0.5}, [RED, WHITE]),
    ],
)
def test_hits_are_above_a_score_and_no_near_duplicates(
    shared: FeatureStore, query: Any, asked: dict[str, Any], ids: list[int]
) -> None:
    assert shared.search(query, **asked).ids.tolist() == ids


def test_scores_that_no_item_reaches_are_told(shared: FeatureStore) -> None:
    assert shared.search(RED, above=0.99).warnings == ("no item has a score of at least 0.99; the best is 0.7070",)
    assert shared.search(RED, above=0.5).warnings == ()


@pytest.mark.parametrize(
    ("query", "asked", "reason"),
    [
        (RED, {"k": 0}, "k = 0: expected at least 1"),
        (RED, {"k": -1}, "expected at least 1"),
        (RED, {"above": 1.5}, "above = 1.5: expected a score, from -1 to 1"),
        (7, {}, "item 7: the store has no such item"),
        (7, {"where": "label = 'mixed'"}, "item 7: the store has no such item"),
    ],
)
def test_what_cannot_be_searched_is_refused(
    shared: FeatureStore, query: int, asked: dict[str, Any], reason: str
) -> None:
    with pytest.raises(QueryError, match=reason):
        shared.search(query, **asked)


# -- reading


def test_features_by_split(tmp_path: Path, encoder: Path) -> None:
    store = labelled_store(
        tmp_path, encoder, [("train/a", (255, 0, 0)), ("test/b", (0, 255, 0)), ("train", (0, 0, 255))]
    )
    ids, x, y = store.features(split="train")
    assert ids.tolist() == [2, 3]
    np.testing.assert_allclose(x, [unit((0, 0, 255)), unit((255, 0, 0))], atol=1e-3)
    assert x.dtype == np.float32
    assert y.tolist() == [None, "a"]
    assert store.features()[0].tolist() == [1, 2, 3]
    ids, x, y = store.features(split="val")
    assert (ids.shape, x.shape, y.shape) == ((0,), (0, 12), (0,))


def test_info_counts(shared: FeatureStore) -> None:
    found = shared.info()
    assert {key: found[key] for key in ("items", "labelled", "removed", "failures", "splits", "labels")} == {
        "items": 6, "labelled": 6, "removed": 0, "failures": 0, "splits": {"(none)": 6}, "labels": {"mixed": 2, "plain": 1, "primary": 3},
    }  # fmt: skip
    [held] = found["encoders"]
    assert (held["dim"], held["vectors"], held["rows"], held["method"]) == (12, 6, 6, "quadrants")
    assert found["bytes"] == sum(p.stat().st_size for p in shared.path.rglob("*") if p.is_file())
    assert json.loads(json.dumps(found)) == found


def test_info_bears_files_that_come_and_go(store: FeatureStore, monkeypatch: pytest.MonkeyPatch) -> None:
    is_file = Path.is_file

    def vanishing(self: Path) -> bool:
        there = is_file(self)
        if self.name == "catalog.duckdb.wal":
            self.unlink()
        return there

    (store.path / "indexes").mkdir()
    (store.path / "indexes" / "catalog.duckdb.wal").touch()
    monkeypatch.setattr(Path, "is_file", vanishing)
    assert store.info()["items"] == 6


def test_sql_reads_the_tables(shared: FeatureStore) -> None:
    assert shared.sql("SELECT count(*) AS n FROM items JOIN vectors ON item = id").to_pylist() == [{"n": 6}]
    assert shared.sql("SELECT dim, rows FROM encoders").to_pylist() == [{"dim": 12, "rows": 6}]
    assert shared.sql("SELECT * FROM failures").num_rows == 0


# -- a store whose files were changed by others


def test_an_encoder_that_was_changed_is_named(store: FeatureStore, colours: Path) -> None:
    [path] = (store.path / "encoders").iterdir()
    path.write_bytes(path.read_bytes().replace(b"quadrants", b"QUADRANTS"))
    with pytest.raises(StoreCorrupt, match=r"expected the fingerprint \w{16}…, found \w{16}…; the file was changed"):
        store.search(colours / "primary" / "red.png")
    path.unlink()
    with pytest.raises(StoreCorrupt, match="is missing; put the encoder"):
        store.search(colours / "primary" / "red.png")
    assert store.search(RED, k=1).ids.tolist() == [YELLOW]  # needs no encoder


def test_a_vector_file_that_was_shortened_is_named(store: FeatureStore, colours: Path) -> None:
    [path] = (store.path / "vectors").iterdir()
    path.write_bytes(path.read_bytes()[: 4 * 24])
    for call in (
        lambda: store.search(RED),
        lambda: store.features(),
        lambda: store.knn(1),
        lambda: store.index(colours),
    ):
        with pytest.raises(StoreCorrupt, match="counts 6 rows of 24 bytes, the file has 4"):
            call()
    assert path.stat().st_size == 4 * 24


@pytest.mark.parametrize(
    ("query", "k", "asked"),
    [(6, 3, (3, 1)), ([6, 5], 3, (5, 0)), ([6, 5], 20, (20, 2)), (np.ones(12), 3, (3, 0))],
)
def test_what_is_left_out_of_the_hits_makes_no_search_look_further(
    shared: FeatureStore, monkeypatch: pytest.MonkeyPatch, query: Any, k: int, asked: tuple[int, int]
) -> None:
    """An index is tuned for 10 hits, say; the item that is the query itself must not make them 11."""
    searched: list[tuple[int, int]] = []

    def noting(queries: Any, vectors: Any, rows: Any, k: int, index: Any, spare: int) -> Any:
        searched.append((k, spare))
        return search_vectors(queries, vectors, rows, k, index, spare)

    monkeypatch.setattr("featurestore.search.searcher.search_vectors", noting)
    assert len(shared.search(query, k=k)) == min(k, 6 - asked[1] - (2 if asked == (5, 0) else 0))
    assert searched == [asked]
    shared.search_many([6, 5], k=3)
    assert searched[1:] == [(3, 1)]
