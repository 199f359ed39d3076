"""The k-NN graph against sorting all scores, row by row."""

import numpy as np
import pytest

from featurestore.ann import knn_graph as graph
from featurestore.ann.faiss_index import floats
from featurestore.ann.knn_graph import neighbours, without_self
from featurestore.ann.row_filter import RowFilter
from featurestore.errors import EvaluationError
from featurestore.progress import Listener
from tests.featurestore.ann.naive import Floats, Halves, Ints, brute_force, clustered, recall, small_numbers
from tests.featurestore.ann.small import COUNT, TARGET, Built

QUIET = Listener()


def naive(vectors: Halves, rows: RowFilter, k: int) -> tuple[Floats, Ints]:
    """Scores and places of the k nearest others of each row, by loops; equal ones in the order of their places."""
    own = vectors[rows.rows].astype(np.float64)
    scores = np.empty((len(rows), k), np.float32)
    places = np.empty((len(rows), k), np.int64)
    for i, vector in enumerate(own):
        of_i = (own @ vector).astype(np.float32)
        nearest = sorted((j for j in range(len(rows)) if j != i), key=lambda j: (-of_i[j], j))[:k]
        scores[i], places[i] = of_i[nearest], nearest
    return scores, places


@pytest.mark.parametrize("step", [1, 7, 16_384])
@pytest.mark.parametrize("chosen", [None, np.arange(0, 40, 2), np.arange(9, 31), np.array([0, 39]), np.arange(1, 40)])
def test_the_graph_is_that_of_the_naive_loop(
    step: int, chosen: np.ndarray | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph, "QUERIES", step)
    rng = np.random.default_rng(0)
    vectors, rows = rng.normal(size=(40, 6)).astype(np.float16), RowFilter(40, chosen)
    for k in sorted({1, min(5, len(rows) - 1), len(rows) - 1}):
        scores, places = neighbours(vectors, rows, k, None, QUIET)
        expected = naive(vectors, rows, k)
        np.testing.assert_array_equal(places, expected[1])
        np.testing.assert_allclose(scores, expected[0], atol=1e-5)
        assert scores.dtype == np.float32
        assert places.dtype == np.int64


@pytest.mark.parametrize("k", [1, 4, 29])
def test_many_equal_scores_come_in_the_order_of_their_places(k: int) -> None:
    """Rows that score higher with others than with themselves, and copies of themselves, are among them."""
    vectors = small_numbers(np.random.default_rng(5), 30, 3)
    scores, places = neighbours(vectors, RowFilter(30), k, None, QUIET)
    assert not (places == np.arange(30)[:, None]).any()
    expected = naive(vectors, RowFilter(30), k)
    np.testing.assert_array_equal(scores, expected[0])
    np.testing.assert_array_equal(places, expected[1])


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("step", [64, 1_024])
@pytest.mark.parametrize("dead", [False, True])
def test_with_an_index_nearly_all_are_found(
    built: Built, dead: bool, step: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph, "BY_INDEX", step)
    rows = RowFilter(COUNT, np.flatnonzero(np.arange(COUNT) % 3 > 0) if dead else None)
    scores, places = neighbours(built.vectors, rows, 5, built.index, QUIET)
    own = floats(built.vectors[rows.rows])
    nearest = without_self(*brute_force(own, built.vectors, rows.rows, 6), rows.rows)[1]
    assert recall(rows.rows[places], nearest) >= TARGET
    assert places.min() >= 0
    assert places.max() < len(rows)
    assert not (places == np.arange(len(rows))[:, None]).any()
    np.testing.assert_allclose(scores, np.einsum("nd,nkd->nk", own, own[places]), atol=1e-6)
    assert (np.diff(scores) <= 0).all()


@pytest.mark.parametrize(("count", "k"), [(5, 0), (5, -1), (5, 5), (5, 6)])
def test_a_k_out_of_range_is_refused(count: int, k: int) -> None:
    rows = RowFilter(9, np.arange(count))
    with pytest.raises(EvaluationError, match=rf"k = {k}: expected from 1 to .*the {count} items there are"):
        neighbours(np.ones((9, 2), np.float16), rows, k, None, QUIET)


@pytest.mark.parametrize("count", [0, 1])
def test_one_item_has_no_neighbours(count: int) -> None:
    with pytest.raises(
        EvaluationError, match=f"expected two items or more, to find the neighbours of each, found {count}"
    ):
        neighbours(np.ones((9, 2), np.float16), RowFilter(9, np.arange(count)), 1, None, QUIET)


def test_progress_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, int | None] | int] = []

    class Noting(Listener):
        def start(self, what: str, total: int | None) -> None:
            calls.append((what, total))

        def advance(self, amount: int = 1, detail: str = "") -> None:
            calls.append(amount)

    monkeypatch.setattr(graph, "QUERIES", 4)
    neighbours(clustered(10, 4)[0], RowFilter(10), 2, None, Noting())
    assert calls == [("finding neighbours", 10), 4, 4, 2]
