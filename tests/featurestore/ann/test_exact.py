"""Exact search against sorting all scores in float64."""

import numpy as np
import pytest

from featurestore.ann.exact import rerank, rows_above, scan, search_exact
from featurestore.ann.faiss_index import BLAS_FROM
from featurestore.ann.row_filter import RowFilter
from featurestore.errors import StoreCorrupt
from tests.featurestore.ann.naive import assert_same, brute_force, clustered, small_numbers, unit

CHOICES = {
    "all": None,
    "one": np.array([40]),
    "a few": np.array([0, 2, 3, 11, 40, 41, 59]),
    "a run": np.arange(20, 50),
    "every second": np.arange(0, 60, 2),
    "all but the first": np.arange(1, 60),
}


@pytest.fixture(params=["copied", "masked"])
def road(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How some of the rows are searched: as a copy of their own, or all with a mask."""
    monkeypatch.setattr("featurestore.ann.row_filter.GATHERED", 1_000_000 if request.param == "copied" else 0)
    return str(request.param)


@pytest.fixture(params=["each", "multiplied"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How queries are compared: each for itself, or all by one multiplication of matrices."""
    monkeypatch.setattr("featurestore.ann.exact.BLAS_FROM", BLAS_FROM if request.param == "each" else 0)
    return str(request.param)


@pytest.mark.parametrize("block", [7, 65_536])
@pytest.mark.parametrize("chosen", CHOICES)
@pytest.mark.parametrize("dim", [1, 3, 24, 100])
def test_many_equal_scores_come_in_the_order_of_their_rows(
    dim: int, chosen: str, block: int, road: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("featurestore.ann.exact.BLOCK", block)
    rng = np.random.default_rng(dim)
    vectors, rows = small_numbers(rng, 60, dim), RowFilter(60, CHOICES[chosen])
    for count in (1, 5):
        queries = small_numbers(rng, count, dim).astype(np.float32)
        for k in sorted({1, min(10, len(rows)), len(rows)}):
            found = search_exact(queries, vectors, rows, k)
            assert [of.dtype for of in found] == [np.float32, np.int64]
            assert_same(found, brute_force(queries, vectors, rows.rows, k))


@pytest.mark.parametrize("block", [50, 65_536])
def test_so_many_queries_that_faiss_multiplies_matrices(block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("featurestore.ann.exact.BLOCK", block)
    rng = np.random.default_rng(0)
    vectors = small_numbers(rng, 90, 512)
    queries = small_numbers(rng, BLAS_FROM // 512, 512).astype(np.float32)
    for rows in (RowFilter(90), RowFilter(90, np.arange(0, 90, 3))):
        assert_same(search_exact(queries, vectors, rows, 20), brute_force(queries, vectors, rows.rows, 20))


@pytest.mark.parametrize("k", [1, 5, 40])
def test_duplicates_of_one_vector_come_in_the_order_of_their_rows(k: int, way: str) -> None:
    """More of them than are looked at beside k, and anywhere."""
    rng = np.random.default_rng(2)
    vectors, _ = clustered(500, 24)
    copies = np.sort(rng.choice(500, 60, replace=False))
    vectors[copies] = vectors[7]
    copies = np.union1d(copies, [7])
    scores, rows = search_exact(vectors[[7, 7]].astype(np.float32), vectors, RowFilter(500), k)
    np.testing.assert_array_equal(rows, [copies[:k], copies[:k]])
    assert len(np.unique(scores)) == 1


@pytest.mark.parametrize("dim", [24, 512])
def test_scores_that_float32_sums_cannot_tell_apart(dim: int, way: str) -> None:
    """Vectors that differ in the last bit of some numbers: sums in another order give another order."""
    rng = np.random.default_rng(dim)
    vectors = np.tile(unit(rng.normal(size=(1, dim))), (400, 1))
    bits = vectors.view(np.uint16)
    bits += (rng.random(vectors.shape) < 3 / dim).astype(np.uint16)
    queries = (vectors[:20].astype(np.float64) + rng.normal(0, 1e-2, (20, dim))).astype(np.float32)
    assert_same(search_exact(queries, vectors, RowFilter(400), 10), brute_force(queries, vectors, np.arange(400), 10))


def test_a_score_is_the_same_to_the_last_bit_whatever_it_was_found_by(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors, _ = clustered(700, 100)
    queries = clustered(BLAS_FROM // 100, 100, seed=1)[0].astype(np.float32)
    scores, rows = search_exact(queries, vectors, RowFilter(700), 700)
    known = np.empty((len(queries), 700), np.float32)
    np.put_along_axis(known, rows, scores, axis=1)
    turned = np.random.default_rng(0).permutation(700)
    some = np.flatnonzero(np.arange(700) % 3 > 0)
    for q in range(0, len(queries), 100):
        for gathered in (0, 1_000_000):
            monkeypatch.setattr("featurestore.ann.row_filter.GATHERED", gathered)
            for chosen in (None, some):
                found = search_exact(queries[q : q + 1], vectors, RowFilter(700, chosen), 30)
                np.testing.assert_array_equal(found[0][0], known[q, found[1][0]])
        moved = search_exact(queries[q : q + 2], vectors[turned], RowFilter(700), 30)
        np.testing.assert_array_equal(moved[0][0], known[q, turned[moved[1][0]]])
        np.testing.assert_array_equal(
            rerank(queries[q : q + 1], vectors, turned[None], 700)[0][0], np.sort(known[q])[::-1]
        )


def test_no_rows_give_no_hits(road: str, way: str) -> None:
    nothing = RowFilter(5, np.empty(0, np.int64))
    scores, rows = search_exact(np.ones((2, 3), np.float32), np.ones((5, 3), np.float16), nothing, 0)
    assert scores.shape == rows.shape == (2, 0)
    assert rows_above(np.ones(3, np.float32), np.ones((5, 3), np.float16), nothing, -9).tolist() == []
    assert rows_above(np.ones(3, np.float32), np.ones((0, 3), np.float16), RowFilter(0), -9).tolist() == []


@pytest.mark.parametrize("chosen", CHOICES)
@pytest.mark.parametrize("score", [-30, -1, 0, 1, 3, 30])
def test_rows_above_gives_all_rows_with_at_least_the_score(chosen: str, score: int, road: str) -> None:
    rng = np.random.default_rng(4)
    vectors, rows = small_numbers(rng, 60, 24), RowFilter(60, CHOICES[chosen])
    query = small_numbers(rng, 1, 24)[0].astype(np.float32)
    expected = [row for row in rows.rows.tolist() if vectors[row].astype(float) @ query >= score]
    assert sorted(rows_above(query, vectors, rows, score).tolist()) == expected


@pytest.mark.parametrize("widened", [1, 3, 1_000_000])
def test_rerank_orders_by_score_then_row_and_gives_the_best(widened: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("featurestore.ann.exact.WIDENED", widened)
    vectors, queries = np.array([[0.5], [1], [0.5], [1], [-1]], np.float16), np.array([[1], [-1]], np.float32)
    scores, rows = rerank(queries, vectors, np.array([[4, 3, 2, 0, 1], [4, 3, 2, 0, 1]]), 4)
    assert rows.tolist() == [[1, 3, 0, 2], [4, 0, 2, 1]]
    assert scores.tolist() == [[1, 1, 0.5, 0.5], [1, -0.5, -0.5, -1]]
    assert rerank(queries[:1], vectors, np.array([[4, 2]]), 9)[1].tolist() == [[2, 4]]


def test_nan_vectors_are_skipped_and_reported_when_hits_are_missing(road: str, way: str) -> None:
    """As a damaged file may have them."""
    vectors, _ = clustered(60, 24)
    vectors[[3, 40]] = np.nan
    queries, whole = vectors[10:12].astype(np.float32), np.setdiff1d(np.arange(60), [3, 40])
    for k in (1, 50):
        assert_same(search_exact(queries, vectors, RowFilter(60), k), brute_force(queries, vectors, whole, k))
    for rows in (RowFilter(60), RowFilter(60, np.array([1, 3, 5]))):
        with pytest.raises(StoreCorrupt, match="not finite"):
            search_exact(queries, vectors, rows, len(rows))


# -- scan


@pytest.mark.parametrize("block", [1, 9, 65_536])
@pytest.mark.parametrize("count", [1, 30])
def test_a_scan_orders_equal_scores_by_row_also_across_the_cut(
    block: int, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("featurestore.ann.exact.BLOCK", block)
    rng = np.random.default_rng(1)
    for _ in range(10):
        n = int(rng.integers(1, 40))
        rows = np.flatnonzero(rng.random(40) < n / 40) if n > 1 else np.array([3])
        k = int(rng.integers(1, len(rows) + 1)) if len(rows) else 0
        vectors, queries = small_numbers(rng, 40, 4), small_numbers(rng, count, 4).astype(np.float32)
        assert_same(scan(queries, vectors, rows, k), brute_force(queries, vectors, rows, k))
