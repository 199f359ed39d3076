"""What every strategy keeps to, and what each of them chooses."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from featurestore.curation.pool import WIDTH, Pool, Space
from featurestore.curation.strategies import STRATEGIES, coreset, herd, margin, margins, probabilities
from featurestore.curation.suggest import choose
from featurestore.estimators.linear import fit_planes

CLASSES = 5


def cloud(count: int = 200, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Vectors of five clusters of different size, the last one with a twentieth of them."""
    generator = np.random.default_rng(seed)
    codes = generator.choice(CLASSES, count, p=(0.35, 0.3, 0.2, 0.1, 0.05))
    x = np.eye(CLASSES, 12)[codes] + 0.15 * generator.standard_normal((count, 12))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float32), codes


def pool_of(labelled: int, count: int = 200) -> tuple[Pool, NDArray[np.int64]]:
    x, codes = cloud(count)
    pool = Pool.of(Space(x, x), x[:0], np.empty(0, np.int64), np.arange(count, dtype=np.float32))
    chosen = np.random.default_rng(3).permutation(count)[:labelled]
    return pool.after(chosen, codes[chosen]), codes


@pytest.mark.parametrize("labelled", [0, 1, 30, 195])
@pytest.mark.parametrize("name", STRATEGIES)
def test_a_strategy_chooses_what_is_free_once_each_and_the_same_again(name: str, labelled: int) -> None:
    pool, _ = pool_of(labelled)
    chosen = STRATEGIES[name](pool, 12, np.random.default_rng(0))
    assert len(set(chosen.tolist())) == len(chosen) == min(12, 200 - labelled)
    assert pool.free[chosen].all()
    assert chosen.tolist() == STRATEGIES[name](pool, 12, np.random.default_rng(0)).tolist()


@pytest.mark.parametrize("weighted", [False, True])
def test_herding_equals_the_naive_greedy_search(weighted: bool) -> None:
    pool, _ = pool_of(7, 60)
    weights = (np.random.default_rng(1).random(60) if weighted else np.ones(60)).astype(np.float32)
    x = pool.space.candidates.astype(np.float64)
    kernel = np.exp((x @ x.T - 1) / WIDTH)
    covered = np.max([kernel[place] for place in np.flatnonzero(~pool.free)], axis=0)
    chosen: list[int] = herd(pool, 10, weights).tolist()
    for number, own in enumerate(chosen):
        others = [u for u in np.flatnonzero(pool.free).tolist() if u not in chosen[:number]]
        gains = {u: float(weights @ np.maximum(kernel[u] - covered, 0)) for u in others}
        assert gains[own] == pytest.approx(max(gains.values()), rel=1e-4)
        covered = np.maximum(covered, kernel[own])


def test_few_labels_by_herding_know_all_classes() -> None:
    pool, codes = pool_of(0)
    assert set(codes[STRATEGIES["auto"](pool, CLASSES, np.random.default_rng(0))]) == set(range(CLASSES))


def test_once_classes_are_known_auto_turns_to_what_is_uncertain() -> None:
    pool, _ = pool_of(60)
    uncertain = margins(pool, pool.space.candidates)
    chosen = STRATEGIES["auto"](pool, 10, np.random.default_rng(0))
    certain = herd(pool, 10, np.ones(200, np.float32))
    assert uncertain[chosen].mean() < uncertain[certain].mean()


def test_margin_chooses_the_smallest_margins() -> None:
    pool, _ = pool_of(40)
    free = np.flatnonzero(pool.free)
    found = margins(pool, pool.space.candidates[free])
    assert sorted(margin(pool, 5, np.random.default_rng(0))) == sorted(free[np.argsort(found)[:5]])


def test_coreset_is_the_farthest_first() -> None:
    pool, _ = pool_of(3)
    [first] = coreset(pool, 1, np.random.default_rng(0))
    nearest = (pool.space.candidates @ pool.labelled.x.T).max(axis=1)
    assert first == np.where(pool.free, nearest, 2).argmin()


def test_loss_prefers_items_with_a_high_loss() -> None:
    pool, _ = pool_of(0)
    chosen = STRATEGIES["loss"](pool, 20, np.random.default_rng(0))
    assert chosen.mean() > 110  # the loss of each is its place, whose mean is 99.5


def test_what_is_labelled_is_fitted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    fitted = []

    def counted(*arguments: Any) -> Any:
        fitted.append(arguments)
        return fit_planes(*arguments)

    monkeypatch.setattr("featurestore.curation.pool.fit_planes", counted)
    pool, _ = pool_of(60)
    chosen, _ = choose(pool, "auto", 10, np.random.default_rng(0))
    probabilities(pool, pool.space.candidates[chosen])
    assert len(fitted) == 1


@pytest.mark.parametrize(("count", "at_random"), [(1, 0), (2, 1), (9, 1), (10, 1), (11, 2), (20, 2)])
def test_every_tenth_choice_is_random(count: int, at_random: int) -> None:
    pool, _ = pool_of(0)
    chosen, random = choose(pool, "auto", count, np.random.default_rng(0))
    assert (len(chosen), len(set(chosen.tolist())), random.sum()) == (count, count, at_random)


def test_random_ones_do_not_depend_on_what_is_chosen_beside() -> None:
    pool, _ = pool_of(0)
    found = {name: choose(pool, name, 20, np.random.default_rng(4))[0][-2:].tolist() for name in STRATEGIES}
    assert len(set(map(tuple, found.values()))) == 1


@pytest.mark.parametrize("labelled", [198, 199, 200])
@pytest.mark.parametrize("name", STRATEGIES)
def test_the_last_candidates_are_given_and_no_more(name: str, labelled: int) -> None:
    pool, _ = pool_of(labelled)
    chosen, random = choose(pool, name, 20, np.random.default_rng(0))
    assert sorted(chosen) == np.flatnonzero(pool.free).tolist()
    assert len(random) == 200 - labelled


@pytest.mark.parametrize("name", STRATEGIES)
def test_without_any_label_two_candidates_are_given(name: str) -> None:
    x, _ = cloud(2)
    pool = Pool.of(Space(x, x), x[:0], np.empty(0, np.int64), np.arange(2, dtype=np.float32))
    assert sorted(choose(pool, name, 20, np.random.default_rng(0))[0]) == [0, 1]
