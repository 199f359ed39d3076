"""The limit of a collection: by hand, and on drawn scores whose truth is known."""

import numpy as np
import pytest

from featurestore.curation.limit import DETAIL_LEAST, FEWEST, HIGHER, PRECISION, choose_limit

NOTHING = np.empty(0, np.float32)


def scores(listed: int, different: int) -> np.ndarray:
    return np.concatenate([np.full(listed, 0.99), np.full(different, 0.97)])


def drawn(copies: int, by_chance: int, centre: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Score, detail, and whether it is a copy: details of different pairs are normal, and higher where the score is."""
    rng = np.random.default_rng(0)
    alike = np.concatenate(
        [rng.normal(4, 0.5, copies), rng.normal(centre + HIGHER, 0.3, by_chance), rng.normal(centre, 0.3, 2000)]
    )
    true = np.arange(len(alike)) < copies
    return scores(copies + by_chance, 2000), np.tanh(alike.clip(0)), true


def test_without_pairs_there_is_nothing_to_estimate() -> None:
    assert choose_limit(NOTHING, NOTHING) == (DETAIL_LEAST, None)
    assert choose_limit(scores(0, 500), np.full(500, 0.9)) == (DETAIL_LEAST, None)


def test_too_few_other_pairs_leave_the_least_limit() -> None:
    score = scores(5, FEWEST - 1)
    assert choose_limit(score, np.full(len(score), 0.99)) == (DETAIL_LEAST, None)


def test_where_all_pictures_are_alike_the_next_pairs_say_what_differs() -> None:
    score, detail, true = drawn(100, 1000, 2.2)
    limit, precision = choose_limit(np.where(score == 0.97, 0.98, score), detail)
    assert (limit, precision) == choose_limit(score, detail)
    assert limit > DETAIL_LEAST
    assert true[(score >= 0.988) & (detail >= limit)].mean() > 0.85


def test_where_different_pictures_have_other_details_the_least_limit_stays() -> None:
    limit, precision = choose_limit(*drawn(200, 300, 0.5)[:2])
    assert limit == pytest.approx(DETAIL_LEAST)
    assert precision == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("copies", [100, 300, 1000])
def test_where_details_agree_by_chance_the_limit_is_higher_and_the_estimate_true(copies: int) -> None:
    score, detail, true = drawn(copies, 1000, 2.2)
    limit, precision = choose_limit(score, detail)
    listed = (score >= 0.988) & (detail >= limit)
    assert limit > DETAIL_LEAST
    assert precision is not None
    assert precision >= PRECISION
    assert true[listed].mean() == pytest.approx(precision, abs=0.05)
    assert true[listed].sum() > 0.9 * copies


def test_nothing_is_listed_where_all_agree_by_chance() -> None:
    assert choose_limit(*drawn(0, 1000, 2.2)[:2]) == (1, None)
