"""The k-NN graph against sorting all scores, row by row."""

from dataclasses import replace

import numpy as np
import pytest

from featurestore.ann import knn_graph as graph
from featurestore.ann.faiss_index import RabitqIndex, floats
from featurestore.ann.knn_graph import KnnGraph, build_graph, extend_graph, neighbours, places_in, without_self
from featurestore.ann.row_filter import RowFilter
from featurestore.ann.search import Index
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


def assert_equal(found: KnnGraph, expected: KnnGraph) -> None:
    np.testing.assert_array_equal(found.rows, expected.rows)
    np.testing.assert_array_equal(found.indices, expected.indices)
    np.testing.assert_allclose(found.scores, expected.scores, atol=1e-6)


@pytest.mark.parametrize("queries", [5, 16_384])
@pytest.mark.parametrize("gone", [[], [0], [7, 8, 9], list(range(30, 60))])
@pytest.mark.parametrize("new", [0, 1, 12])
def test_an_extended_graph_is_the_one_built_anew(
    gone: list[int], new: int, queries: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(graph, "QUERIES", queries)
    vectors = clustered(60 + new, 5)[0]
    before = build_graph(vectors[:60], RowFilter(60), 4, None, QUIET)
    rows = RowFilter(60 + new, np.setdiff1d(np.arange(60 + new), gone))
    assert_equal(extend_graph(before, vectors, rows, 4, None, QUIET), build_graph(vectors, rows, 4, None, QUIET))


def test_rows_that_stay_are_not_compared_with_each_other_again(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = clustered(60, 5)[0]
    before = build_graph(vectors[:58], RowFilter(58), 4, None, QUIET)
    asked: list[Ints] = []
    nearest = graph._nearest

    def noting(
        vectors: Halves, rows: RowFilter, part: Ints, k: int, index: Index | None, listener: Listener, for_all: bool
    ) -> tuple[Floats, Ints]:
        asked.append(part)
        return nearest(vectors, rows, part, k, index, listener, for_all)

    monkeypatch.setattr(graph, "_nearest", noting)
    extended = extend_graph(before, vectors, RowFilter(60), 4, None, QUIET)
    np.testing.assert_array_equal(np.concatenate(asked), [58, 59])
    asked.clear()
    assert extend_graph(extended, vectors, RowFilter(60), 4, None, QUIET) is extended
    assert not asked
    assert extend_graph(extended, vectors, RowFilter(60), 5, None, QUIET).k == 5


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_a_graph_of_few_rows_has_all_others(count: int) -> None:
    found = build_graph(clustered(5, 4)[0], RowFilter(5, np.arange(count)), 20, None, QUIET)
    assert found.indices.shape == found.scores.shape == (count, max(0, count - 1))
    assert all(set(line) | {place} == set(range(count)) for place, line in enumerate(found.indices.tolist()))


def test_a_graph_that_was_smaller_than_k_grows() -> None:
    vectors = clustered(30, 4)[0]
    few = build_graph(vectors[:3], RowFilter(3), 20, None, QUIET)
    assert_equal(
        extend_graph(few, vectors, RowFilter(30), 20, None, QUIET), build_graph(vectors, RowFilter(30), 20, None, QUIET)
    )


@pytest.mark.usefixtures("small")
def test_the_recall_of_an_index_is_measured(built: Built) -> None:
    found = build_graph(built.vectors, RowFilter(COUNT), 5, built.index, QUIET)
    exact = build_graph(built.vectors, RowFilter(COUNT), 5, None, QUIET)
    assert exact.recall == 1
    assert found.recall == pytest.approx(recall(exact.indices, found.indices), abs=0.02)
    part = RowFilter(COUNT, np.arange(COUNT - 9))
    smaller = build_graph(built.vectors, part, 5, built.index, QUIET)
    half = replace(smaller, recall=0.5)  # what was not found before is still not found
    assert extend_graph(half, built.vectors, RowFilter(COUNT), 5, None, QUIET).recall == 0.5
    assert TARGET <= extend_graph(smaller, built.vectors, RowFilter(COUNT), 5, built.index, QUIET).recall <= 1


def test_places_among_values() -> None:
    np.testing.assert_array_equal(places_in(np.array([2, 5, 9]), np.array([9, 1, 5, 10, 2])), [2, -1, 1, -1, 0])
    np.testing.assert_array_equal(places_in(np.array([], np.int64), np.array([9, 1])), [-1, -1])


def test_a_graph_visits_less_of_an_index_than_a_single_search_where_that_is_enough(
    built: Built, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = built.index
    curve = ((1, 5, 0.5), (4, 20, 0.96), (8, 40, 0.97), (index.card.lists, 1_000, 0.999))
    index = replace(index, card=replace(index.card, curve=curve))
    setting = index.setting_for_all(21, 1.0)
    assert (setting.probes, setting.candidates) == (4, 42)  # more candidates for more hits than the curve is about
    assert index.setting_for_all(5, 0.5).probes == 8  # more lists, where half of their rows count
    assert index.setting_for_all(5, 1e-9).probes == index.card.lists
    asked: list[tuple[int, int]] = []
    propose = RabitqIndex.propose

    def noted(self: RabitqIndex, queries: Floats, count: int, probes: int, bits: np.ndarray | None = None) -> Ints:
        asked.append((count, probes))
        return propose(self, queries, count, probes, bits)

    monkeypatch.setattr(RabitqIndex, "propose", noted)
    build_graph(built.vectors, RowFilter(COUNT), 20, index, QUIET)
    assert set(asked) == {(42, 4)}
    asked.clear()
    neighbours(built.vectors, RowFilter(COUNT), 20, index, QUIET)  # as exact as the index was built for
    assert asked[0][1] == index.card.setting(21, 1.0).probes
    bare = replace(index, card=replace(index.card, curve=()))
    assert bare.setting_for_all(21, 1.0) == bare.card.setting(21, 1.0)
