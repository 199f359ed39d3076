"""Near-duplicates among hits."""

import numpy as np
import pytest
from numpy.typing import NDArray

from featurestore.ann.near_duplicates import drop_near_duplicates
from featurestore.errors import QueryError


def at(*degrees: float) -> NDArray[np.float32]:
    """Unit vectors of the plane; the score of two is the cosine of the angle between."""
    turned = np.radians(degrees)
    return np.stack([np.cos(turned), np.sin(turned)], axis=1).astype(np.float32)


def test_a_hit_is_dropped_when_a_better_one_that_stays_is_nearly_the_same() -> None:
    hits = at(0, 10, 20, 30, 5, 90)  # 0.97 is the cosine of 14 degrees
    assert drop_near_duplicates(hits).tolist() == [0, 2, 5]  # 10 goes with 0, so 20 stays; 30 goes with 20
    assert drop_near_duplicates(hits, np.cos(np.radians(25))).tolist() == [0, 3, 5]
    assert drop_near_duplicates(hits, np.cos(np.radians(4))).tolist() == [0, 1, 2, 3, 4, 5]


def test_the_hits_that_stay_are_those_of_the_naive_loop() -> None:
    rng = np.random.default_rng(8)
    centres = rng.normal(size=(12, 8))
    hits = (centres[rng.integers(12, size=150)] + rng.normal(size=(150, 8)) * 0.2).astype(np.float32)
    for block in (1, 7, 150, 256):
        for threshold in (0.5, 0.9, 0.97, 1.0):
            kept: list[int] = []
            for n, x in enumerate(hits.astype(np.float64)):
                scores = [x @ hits[m] / np.linalg.norm(x) / np.linalg.norm(hits[m].astype(np.float64)) for m in kept]
                if all(score < threshold for score in scores):
                    kept.append(n)
            assert drop_near_duplicates(hits, threshold, block).tolist() == kept
            assert threshold == 1 or 1 < len(kept) < 150


def test_a_threshold_of_one_drops_equal_vectors() -> None:
    rng = np.random.default_rng(2)
    once = rng.normal(size=(40, 384)).astype(np.float16)  # rounded, as in a store, so no longer of length 1
    twice = np.concatenate([once, once[::-1]])
    assert drop_near_duplicates(twice, 1.0).tolist() == list(range(40))


def test_no_hits_and_one_hit() -> None:
    assert drop_near_duplicates(np.empty((0, 4), np.float32)).tolist() == []
    assert drop_near_duplicates(np.empty((0, 4), np.float32)).dtype == np.int64
    assert drop_near_duplicates(at(3)).tolist() == [0]


@pytest.mark.parametrize("threshold", [0, -0.5, 1.01, float("nan"), 97])
def test_a_threshold_out_of_range_is_refused(threshold: float) -> None:
    with pytest.raises(QueryError, match="expected a score above 0 and at most 1"):
        drop_near_duplicates(at(0, 1), threshold)
