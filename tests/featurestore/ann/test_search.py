"""Searching by an index: what it proposes, exact scores decide; it never changes which rows there are."""

from concurrent.futures import ThreadPoolExecutor
from itertools import product

import faiss
import numpy as np
import pytest

from featurestore.ann.faiss_index import RabitqIndex, floats
from featurestore.ann.row_filter import RowFilter
from featurestore.ann.search import Index, search_vectors
from featurestore.ann.tuning import IndexCard, SearchSetting
from tests.featurestore.ann.naive import CLUSTERS, Floats, Halves, Ints, assert_same, brute_force, clustered, recall
from tests.featurestore.ann.small import COUNT, DIM, FEW, TARGET, Built, build_quietly

QUERIES = 100

pytestmark = pytest.mark.usefixtures("small")


@pytest.fixture(scope="module")
def queries() -> Floats:
    return floats(clustered(QUERIES, DIM, seed=1)[0])


def some(share: float, seed: int = 0) -> RowFilter:
    if share == 1:
        return RowFilter(COUNT)
    return RowFilter(COUNT, np.flatnonzero(np.random.default_rng(seed).random(COUNT) < share))


def check(queries: Floats, vectors: Halves, rows: RowFilter, k: int, index: Index | None) -> tuple[Floats, Ints]:
    """Search, and see that each hit is one that may be found, once, with its true score, and that they are in order."""
    scores, found = search_vectors(queries, vectors, rows, k, index)
    assert scores.shape == found.shape == (len(queries), min(k, len(rows)))
    assert scores.dtype == np.float32
    assert found.dtype == np.int64
    for query, line_scores, line in zip(queries, scores, found, strict=True):
        assert np.isin(line, rows.rows).all()
        assert len(np.unique(line)) == len(line)
        true = (vectors[line].astype(np.float64) @ query.astype(np.float64)).astype(np.float32)
        np.testing.assert_array_equal(line_scores, true)
        np.testing.assert_array_equal(np.lexsort((line, -line_scores)), np.arange(len(line)))
    return scores, found


def proposals(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int, int]]:
    """Queries, candidates and probes of each time that the index is asked, from now on."""
    asked: list[tuple[int, int, int]] = []
    propose = RabitqIndex.propose

    def noted(self: RabitqIndex, queries: Floats, count: int, probes: int, bits: np.ndarray | None = None) -> Ints:
        asked.append((len(queries), count, probes))
        return propose(self, queries, count, probes, bits)

    monkeypatch.setattr(RabitqIndex, "propose", noted)
    return asked


# -- recall


@pytest.mark.parametrize(
    ("k", "share"),
    [*product((1, 5, 13, 20), (1.0,)), *product((5, 20), (0.9, 0.5, 0.3, 0.2, 0.1, 0.05, 0.03, 0.01, 0.005))],
)
def test_the_target_is_reached_and_few_rows_are_searched_exactly(
    built: Built, queries: Floats, k: int, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = proposals(monkeypatch)
    rows = some(share)
    assert len(rows) > 0
    found = check(queries, built.vectors, rows, k, built.index)[1]
    exact = brute_force(queries, built.vectors, rows.rows, k)[1]
    assert recall(found, exact) >= (TARGET - (0.01 if share < 1 else 0) if asked else 1)
    setting = built.card.setting(k, len(rows) / COUNT)
    assert bool(asked) == (len(rows) > max(FEW, setting.candidates))
    if share == 1:
        assert asked[0] == (QUERIES, setting.candidates, setting.probes)


@pytest.mark.parametrize("cluster", range(2, CLUSTERS, 6))
def test_rows_of_one_cluster_are_found_from_far_away(built: Built, queries: Floats, cluster: int) -> None:
    """The lists near the query hold none of them; from there they look much alike, so that fewer are found than was measured."""
    rows = RowFilter(COUNT, np.flatnonzero(built.clusters == cluster))
    assert len(rows) > FEW
    found = check(queries, built.vectors, rows, 5, built.index)[1]
    expected = brute_force(queries, built.vectors, rows.rows, 5)[1]
    assert recall(found, expected) > 0.5 > 2 * recall(rows.rows[:5][None].repeat(len(queries), axis=0), expected)


def test_lists_without_enough_rows_are_followed_by_more(
    built: Built, queries: Floats, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = proposals(monkeypatch)
    rows = RowFilter(COUNT, np.flatnonzero(np.isin(built.clusters, [3, 8])))
    check(queries, built.vectors, rows, 5, built.index)
    numbers, candidates, probes = (list(column) for column in zip(*asked, strict=True))
    assert len(asked) > 1
    assert numbers == sorted(numbers, reverse=True)
    assert numbers[1] < QUERIES  # those that have enough are not asked again
    assert set(candidates) == {candidates[0]}
    assert probes == [min(4**n * probes[0], built.rabitq.lists) for n in range(len(probes))]


# -- always k hits


@pytest.mark.parametrize("k", [1, 5, 21, 150, 700, COUNT - 1, COUNT, COUNT + 1, 10 * COUNT])
def test_k_hits_come_back_when_there_are_so_many(built: Built, queries: Floats, k: int) -> None:
    for rows in (RowFilter(COUNT), some(0.5), some(0.1), some(0.01), some(0)):
        found = check(queries[:5], built.vectors, rows, k, built.index)[1]
        if k >= len(rows):
            np.testing.assert_array_equal(np.sort(found), np.tile(rows.rows, (5, 1)))


def test_one_at_a_time_or_all_at_once_is_the_same(built: Built, queries: Floats) -> None:
    for rows in (RowFilter(COUNT), some(0.5), some(0.2)):
        scores, found = search_vectors(queries, built.vectors, rows, 7, built.index)
        for q in range(0, QUERIES, 5):
            alone = search_vectors(queries[q : q + 1], built.vectors, rows, 7, built.index)
            assert_same(alone, (scores[q : q + 1], found[q : q + 1]))


@pytest.mark.parametrize("spare", [1, 32, 400, 5_000])
def test_spare_hits_come_behind_the_others(built: Built, queries: Floats, spare: int) -> None:
    """As many as were asked for, and the first are found as surely as without."""
    for rows in (RowFilter(COUNT), some(0.5), some(0.01)):
        wanted = min(5, len(rows))
        scores, found = search_vectors(queries[:30], built.vectors, rows, 5, built.index, spare)
        assert scores.shape == found.shape == (30, min(5 + spare, len(rows)))
        assert np.isin(found, rows.rows).all()
        assert all(len(np.unique(line)) == len(line) for line in found)
        assert (np.diff(scores) <= 0).all()
        expected = brute_force(queries[:30], built.vectors, rows.rows, wanted)[1]
        assert recall(found[:, :wanted], expected) >= TARGET - 0.01


def test_nothing_may_be_found(built: Built, queries: Floats) -> None:
    for index in (built.index, None):
        for rows in (some(0), RowFilter(0)):
            assert search_vectors(queries, built.vectors[: rows.total], rows, 5, index)[1].shape == (QUERIES, 0)


def test_copies_of_one_vector_are_found_in_order(queries: Floats) -> None:
    vectors, _ = clustered(600, DIM)
    same = np.sort(np.random.default_rng(3).choice(600, 400, replace=False))
    vectors[same] = vectors[same[0]]
    scores, found = check(floats(vectors[same[:1]]), vectors, RowFilter(600), 5, Index(*build_quietly(vectors)))
    assert np.isin(found, same).all()
    assert len(np.unique(scores)) == 1


# -- rows that the index does not hold


@pytest.fixture(scope="module")
def grown() -> Halves:
    """More vectors than the index holds: of its clusters, and some that are unlike all of them."""
    return np.concatenate([clustered(COUNT, DIM)[0], clustered(130, DIM, seed=5)[0], -clustered(20, DIM, seed=6)[0]])


@pytest.mark.parametrize("share", [1.0, 0.9, 0.5, 0.2, 0.03])
def test_rows_behind_the_index_are_always_found_when_they_pass_the_filter(
    built: Built, grown: Halves, share: float
) -> None:
    queries = floats(grown[COUNT:])
    chosen = np.flatnonzero(np.random.default_rng(0).random(len(grown)) < share) if share < 1 else None
    rows = RowFilter(len(grown), chosen)
    found = check(queries, grown, rows, 4, built.index)[1]
    expected = brute_force(queries, grown, rows.rows, 4)[1]
    for line, true in zip(found, expected, strict=True):
        assert np.isin(true[true >= COUNT], line).all()
    if share == 1:
        assert (found[:, 0] == np.arange(COUNT, len(grown))).all()
        assert recall(found, expected) >= TARGET


def test_more_hits_than_there_are_rows_behind_the_index(built: Built, grown: Halves) -> None:
    vectors = grown[: COUNT + 2]
    check(floats(grown[:20]), vectors, RowFilter(len(vectors)), 10, built.index)
    check(floats(grown[:20]), vectors, RowFilter(len(vectors), np.arange(0, len(vectors), 2)), 10, built.index)


# -- indexes of other kinds


def index_of(vectors: Halves, lists: int, probes: int, candidates: int) -> Index:
    made = RabitqIndex.train(floats(vectors), lists, 5, seed=0)
    made.add(floats(vectors))
    settings = (SearchSetting(5, 1.0, probes, candidates, 1.0),)
    return Index(made, IndexCard(made.kind, lists, len(vectors), 1.0, 0, settings, ()))


@pytest.mark.parametrize("k", [1, 5, 12])
def test_an_index_of_one_list(built: Built, queries: Floats, k: int) -> None:
    index = index_of(built.vectors, lists=1, probes=1, candidates=150)
    for rows in (RowFilter(COUNT), some(0.5)):
        found = check(queries, built.vectors, rows, k, index)[1]
        assert recall(found, brute_force(queries, built.vectors, rows.rows, k)[1]) > 0.95


def test_lists_that_are_nearly_empty(queries: Floats) -> None:
    """Nearly all rows are in one list: the others are exhausted at once."""
    vectors = np.concatenate([clustered(280, DIM)[0][:20], np.tile(clustered(1, DIM, seed=3)[0], (260, 1))])
    index = index_of(vectors, lists=20, probes=1, candidates=20)
    for rows in (RowFilter(280), RowFilter(280, np.arange(5, 270))):
        check(queries[:30], vectors, rows, 5, index)
        check(queries[:30], vectors, rows, 10, index)


# -- the host program


def test_threads_get_the_answers_that_one_gets(built: Built, queries: Floats) -> None:
    """By the index, by a copy of few rows, and by a mask over all vectors."""
    grown = np.concatenate([built.vectors, clustered(50, DIM, seed=5)[0]])
    count = len(grown)
    choices = [None, np.arange(0, count, 2), np.arange(30, 60), np.arange(0, count, 2)]

    def ask(n: int) -> list[int]:
        index = None if n % 4 == 3 else built.index
        line: list[int] = search_vectors(queries[n : n + 1], grown, filters[n % 4], 5, index)[1][0].tolist()
        return line

    filters = [RowFilter(count, chosen) for chosen in choices]
    expected = [ask(n) for n in range(QUERIES)]
    filters = [RowFilter(count, chosen) for chosen in choices]  # nothing is cached in them yet
    before = faiss.omp_get_max_threads()
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask, [*range(QUERIES)] * 3)) == expected * 3
    assert faiss.omp_get_max_threads() == before
