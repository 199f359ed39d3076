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


def test_where_most_pairs_are_as_alike_as_copies_these_say_what_differs() -> None:
    """Forms of one layout: hardly a score is below the limit, and details rise with the score."""
    score, detail, true = drawn(100, 1000, 2.2)
    limit, precision = choose_limit(np.where(score < 0.988, 0.98, score), detail)
    listed = (score >= 0.988) & (detail >= limit)
    assert precision is not None
    assert true[listed].mean() > 0.9
    assert true[listed].sum() > 80
    low = detail[true.argmin() :]
    assert choose_limit(np.where(score < 0.988, 0.98, score)[true.argmin() :], low) == (1, None)


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
    assert precision - 0.04 < true[listed].mean() < precision + 0.08  # the tail is longer than that of what was drawn
    assert true[listed].sum() > 0.8 * copies


def test_nothing_is_listed_where_all_agree_by_chance() -> None:
    assert choose_limit(*drawn(0, 1000, 2.2)[:2]) == (1, None)
