"""Exact search against brute force."""

import numpy as np
import pytest
from numpy.typing import NDArray

from featurestore import index


def brute_force(
    queries: NDArray[np.float32], vectors: NDArray[np.float16], rows: NDArray[np.int64], k: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Sort all scores; of equal ones the smaller row comes first."""
    scores = queries @ vectors[rows].astype(np.float32).T
    order = np.stack([np.lexsort((rows, -line))[:k] for line in scores])
    return np.take_along_axis(scores, order, axis=1), rows[order]


@pytest.mark.parametrize("block", [30, 64, 65_536])
@pytest.mark.parametrize("k", [1, 5, 100])
@pytest.mark.parametrize("count", [1, 3, 50])
def test_exact_equals_brute_force(count: int, k: int, block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "BLOCK", block)
    rng = np.random.default_rng(count * k)
    vectors = rng.standard_normal((100, 24)).astype(np.float16)
    queries = rng.standard_normal((count, 24)).astype(np.float32)
    found = index.exact(queries, vectors, np.arange(100), k)
    expected = brute_force(queries, vectors, np.arange(100), k)
    np.testing.assert_array_equal(found[1], expected[1])
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-5, atol=1e-5)
    assert found[0].dtype == np.float32
    assert found[1].dtype == np.int64


@pytest.mark.parametrize("block", [3, 65_536])
@pytest.mark.parametrize(
    "rows", [[5], [5, 6, 7, 8], [0, 2, 3, 11, 40, 41, 59], list(range(20, 60)), list(range(0, 60, 2))]
)
def test_a_subset_of_rows_gives_only_these(rows: list[int], block: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(index, "BLOCK", block)
    rng = np.random.default_rng(0)
    vectors = rng.standard_normal((60, 8)).astype(np.float16)
    queries = rng.standard_normal((4, 8)).astype(np.float32)
    chosen = np.array(rows, np.int64)
    found = index.exact(queries, vectors, chosen, len(rows))
    np.testing.assert_array_equal(found[1], brute_force(queries, vectors, chosen, len(rows))[1])


@pytest.mark.parametrize("block", [9, 65_536])
@pytest.mark.parametrize("count", [1, 30])
def test_equal_scores_are_ordered_by_row_also_across_the_cut(
    block: int, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(index, "BLOCK", block)
    rng = np.random.default_rng(1)
    for _ in range(15):
        n = int(rng.integers(1, 40))
        k = int(rng.integers(1, n + 1))
        vectors = rng.integers(-1, 2, (n, 4)).astype(np.float16)  # products are small whole numbers: many exact ties
        queries = rng.integers(-1, 2, (count, 4)).astype(np.float32)
        found = index.exact(queries, vectors, np.arange(n), k)
        expected = brute_force(queries, vectors, np.arange(n), k)
        np.testing.assert_array_equal(found[0], expected[0])
        np.testing.assert_array_equal(found[1], expected[1])


def test_a_hand_case() -> None:
    vectors = np.array([[1, 0], [0, 1], [0.6, 0.8], [-1, 0]], np.float16)
    scores, rows = index.exact(np.array([[1, 0]], np.float32), vectors, np.arange(4), 3)
    assert rows.tolist() == [[0, 2, 1]]
    np.testing.assert_allclose(scores, [[1, 0.6, 0]], atol=1e-3)


def test_no_rows_give_no_hits() -> None:
    scores, rows = index.exact(np.ones((2, 3), np.float32), np.ones((5, 3), np.float16), np.empty(0, np.int64), 0)
    assert scores.shape == rows.shape == (2, 0)
