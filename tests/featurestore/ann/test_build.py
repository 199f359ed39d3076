"""Building an index over collections that are small, with sizes that are smaller still."""

from itertools import groupby
from pathlib import Path
from typing import Any

import faiss
import numpy as np
import pytest

from featurestore.ann import build as building
from featurestore.ann.build import MOST_CANDIDATES, RecallTrial, build_index
from featurestore.ann.faiss_index import BLAS_FROM, Floats, RabitqIndex, floats
from featurestore.ann.tuning import KS, LEAST_POINTS, code_bytes
from featurestore.errors import StoreCorrupt, StoreError
from tests.featurestore.ann.naive import Halves, brute_force, clustered, recall
from tests.featurestore.ann.small import COUNT, DIM, FEW, TARGET, Built, build_quietly

pytestmark = pytest.mark.usefixtures("small")


LEAST_MEMORY = code_bytes(COUNT, DIM) + (8 + 4 * LEAST_POINTS) * 38 * DIM  # of 38 lists


def saved(lists: RabitqIndex, path: Path) -> bytes:
    with path.open("wb") as file:
        lists.save(file.write)
    return path.read_bytes()


def proposed_recall(built: Built, queries: Floats, k: int, probes: int, candidates: int) -> float:
    """How many of the true neighbours the index proposes, measured with other queries than it was tuned by."""
    true = brute_force(queries, built.vectors, np.arange(COUNT), k)[1]
    return recall(built.rabitq.propose(queries, candidates, probes), true)


# -- recall


@pytest.mark.parametrize("k", [5, 20])
def test_the_target_is_reached_by_queries_that_the_build_has_not_seen(built: Built, k: int) -> None:
    queries = floats(clustered(400, DIM, seed=1)[0])
    setting = built.card.setting(k, 1.0)
    found = proposed_recall(built, queries, k, setting.probes, setting.candidates)
    assert found >= TARGET
    assert found == pytest.approx(setting.recall, abs=0.02)


def test_no_cheaper_setting_of_the_curve_was_good_enough(built: Built) -> None:
    """The card's setting is not just the largest that there is."""
    assert built.card.settings[0].probes < built.rabitq.lists
    assert built.card.settings[0].candidates < 100
    queries = floats(clustered(400, DIM, seed=1)[0])
    assert proposed_recall(built, queries, 5, 1, 10) < TARGET - 0.1


def test_the_curve_is_what_is_measured_without_the_build(built: Built) -> None:
    queries = floats(clustered(800, DIM, seed=2)[0])
    for probes, candidates, measured in built.card.curve[::4]:
        assert proposed_recall(built, queries, 5, probes, candidates) == pytest.approx(measured, abs=0.04)


def test_more_candidates_never_find_less(built: Built) -> None:
    by_probes = [list(line) for _, line in groupby(built.card.curve, key=lambda point: point[0])]
    assert len(by_probes) > 2
    for line in by_probes:
        assert [candidates for _, candidates, _ in line] == [10, 20, 40, 80, 100]
        recalls = [r for _, _, r in line]
        assert recalls == sorted(recalls)
    assert [r for line in by_probes for r in [line[-1][2]]] == sorted(line[-1][2] for line in by_probes)


def test_a_setting_is_measured_for_each_k_and_each_share_that_is_not_searched_directly(built: Built) -> None:
    shares = [share for share in building.SHARES if share == 1 or share * COUNT > FEW]
    assert shares == [1.0, 0.3, 0.1]
    assert [(s.k, s.share) for s in built.card.settings] == [(k, share) for share in shares for k in (5, 20)]
    assert all(s.recall >= TARGET for s in built.card.settings)


@pytest.mark.parametrize("target", [0.5, 0.9])
def test_less_recall_costs_less(built: Built, target: float) -> None:
    _, card = build_quietly(built.vectors, target)
    assert card.recall >= target
    cheap, dear = card.settings[0], built.card.settings[0]
    assert (cheap.probes, cheap.candidates) <= (dear.probes, dear.candidates)
    assert cheap != dear


# -- what it is made of


@pytest.mark.parametrize("way", ["three threads", "large blocks", "a mapped file"])
def test_the_same_vectors_give_the_same_file_however_they_are_read(
    built: Built, tmp_path: Path, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    vectors = built.vectors.copy()
    match way:
        case "three threads":
            faiss.omp_set_num_threads(3)
        case "large blocks":
            monkeypatch.setattr(building, "BLOCK", 7_000)
        case _:
            vectors.tofile(tmp_path / "vectors.f16")
            vectors = np.memmap(tmp_path / "vectors.f16", "<f2", "r", shape=vectors.shape)
    lists, card = build_quietly(vectors)
    assert card == built.card
    assert saved(lists, tmp_path / "again") == saved(built.rabitq, tmp_path / "once")


def test_queries_are_not_in_the_sample(built: Built, monkeypatch: pytest.MonkeyPatch) -> None:
    samples: list[Floats] = []
    held_out: list[Any] = []
    train, of = RabitqIndex.train, RecallTrial.of

    def noted_train(sample: Floats, *settings: Any, **more: Any) -> RabitqIndex:
        samples.append(sample)
        return train(sample, *settings, **more)

    def noted_trial(vectors: Halves, rows: Any, rng: Any) -> RecallTrial:
        held_out.append(rows)
        return of(vectors, rows, rng)

    monkeypatch.setattr(RabitqIndex, "train", noted_train)
    monkeypatch.setattr(RecallTrial, "of", noted_trial)
    _, card = build_quietly(built.vectors)
    [sample], [rows] = samples, held_out
    assert (len(sample), len(rows)) == (card.sample, card.queries) == (COUNT - COUNT // 4, COUNT // 4)
    seen = {line.tobytes() for line in sample}
    assert len(seen) == card.sample
    assert not [row for row in rows if floats(built.vectors[row : row + 1]).tobytes() in seen]


def test_a_sample_is_smaller_where_memory_is_short(built: Built) -> None:
    lists, card = build_quietly(built.vectors, memory=LEAST_MEMORY)
    assert (lists.count, lists.lists) == (COUNT, built.card.lists)
    assert card.sample < built.card.sample


def test_too_little_memory_is_refused_before_any_work(built: Built) -> None:
    calls: list[Any] = []
    with pytest.raises(StoreError, match="allow more by --memory"):
        build_index(built.vectors, TARGET, LEAST_MEMORY - 64, lambda *phase: calls.append(phase), calls.append)
    assert calls == []


def test_progress_is_reported(built: Built) -> None:
    calls: list[tuple[str, int | None]] = []
    done: list[int] = []

    def start(what: str, total: int | None) -> None:
        calls.append((what, total))
        done.append(0)

    def advance(amount: int) -> None:
        done[-1] += amount

    build_index(built.vectors, TARGET, 1 << 30, start, advance)
    assert calls == [("training the index", None), ("building the index", COUNT), ("measuring the index", 3)]
    assert done == [0, COUNT, 3]


# -- strange collections


@pytest.mark.parametrize("dim", [1, 2, 3, 9])
def test_vectors_of_few_numbers(dim: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(building, "GATHERED", FEW * dim)
    vectors, _ = clustered(300, dim)
    lists, card = build_quietly(vectors)
    assert (lists.count, lists.dim, lists.lists) == (300, dim, card.lists) == (300, dim, 7)


@pytest.mark.parametrize("different", [1, 2, 5])
def test_copies_of_a_few_vectors(different: int) -> None:
    vectors = clustered(different, DIM)[0][np.arange(400) % different]
    lists, card = build_quietly(vectors)
    assert sorted(lists.propose(floats(vectors[:1]), 400, lists.lists)[0].tolist()) == list(range(400))
    assert card.recall == 1  # any of the copies is as near as the nearest


def test_ties_of_the_last_neighbour_count_as_found_and_only_these() -> None:
    near, tied, far = np.eye(3, dtype=np.float16)
    query = np.array([0.8, 0.6, 0], np.float16)
    vectors = np.stack([query, near, *[tied] * 4, *[far] * 4])
    trial = RecallTrial.of(vectors, np.array([0]), np.random.default_rng(0))
    scores = np.array([[0.8, 0.6, 0.6, 0.6]], np.float32)
    true = np.array([[1, 2, 3, 4]])
    for proposed, k, found in (
        ([0, 1, 5, 4], 3, [0, 1, 2]),  # two of the four tied ones, whichever
        ([9, 5, 1, 6], 3, [1, 2, building.ABSENT]),
        ([5, 4, 0, 3], 1, [building.ABSENT]),  # the first is not tied
        ([5, 4, 0, 3, -1], 2, [0, 1]),
    ):
        assert trial._ranks(np.array([proposed]), true, scores, k).tolist() == [found]


def test_the_fewest_rows() -> None:
    lists, card = build_quietly(clustered(200, DIM)[0])
    assert (lists.count, card.queries, card.sample) == (200, 50, 150)
    assert card.recall >= TARGET


@pytest.mark.parametrize(
    ("rows", "number"),
    [([0], np.nan), ([777], np.nan), ([777], np.inf), ([777], -np.inf), ([1_499], np.inf), (range(COUNT), np.nan)],
)
def test_vectors_that_are_not_finite_are_named(built: Built, rows: list[int], number: float) -> None:
    """A damaged file: FAISS refuses some of these in words of its own, and takes others."""
    vectors = built.vectors.copy()
    vectors[rows, 3] = number
    with pytest.raises(StoreCorrupt, match=r"not finite.*featurestore verify STORE --repair"):
        build_quietly(vectors)


@pytest.mark.slow
def test_the_sizes_that_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # the small ones
    faiss.omp_set_num_threads(2)
    assert (KS, MOST_CANDIDATES) == ((10, 100), (1_000, 2_000))
    vectors, _ = clustered(60_000, 64)
    lists, card = build_index(vectors, 0.99, 1 << 30, lambda what, total: None, lambda rows: None)
    assert card.queries == min(BLAS_FROM // 64 + 1, 2_000)
    queries = floats(clustered(500, 64, seed=1)[0])
    setting = card.setting(10, 1.0)
    true = brute_force(queries, vectors, np.arange(60_000), 10)[1]
    assert recall(lists.propose(queries, setting.candidates, setting.probes), true) >= 0.985
