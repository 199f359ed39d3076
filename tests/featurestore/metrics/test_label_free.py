"""Measures without labels, against loops that are too plain to be wrong."""

import math
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from featurestore.errors import EvaluationError
from featurestore.metrics.label_free import neighbour_agreement, rankme, sample, uniformity


def vectors(count: int, dim: int, seed: int = 0) -> NDArray[np.float32]:
    x = np.random.default_rng(seed).normal(size=(count, dim)).astype(np.float32)
    return np.asarray(x / np.linalg.norm(x, axis=1, keepdims=True))


@pytest.mark.parametrize(("count", "dim"), [(5, 3), (3, 5), (60, 16), (200, 8)])
def test_rankme_is_exp_of_the_entropy_of_the_singular_values(count: int, dim: int) -> None:
    x = vectors(count, dim)
    covariance = x.astype(np.float64) @ x.T if count < dim else x.T.astype(np.float64) @ x
    singular = [math.sqrt(max(value, 0)) for value in np.linalg.eigvalsh(covariance)]
    shares = [value / sum(singular) + 1e-7 for value in singular]
    assert rankme(x) == pytest.approx(math.exp(-sum(p * math.log(p) for p in shares)), rel=1e-4)


def test_rankme_counts_the_dimensions_that_are_used() -> None:
    assert rankme(np.eye(8, dtype=np.float32).repeat(4, axis=0)) == pytest.approx(8, rel=1e-3)
    assert rankme(np.ones((20, 8), np.float32)) == pytest.approx(1, rel=1e-3)
    assert rankme(np.zeros((20, 8), np.float32)) == pytest.approx(1, rel=1e-3)


@pytest.mark.parametrize("block", [1, 7, 29, 30, 1_024])
@pytest.mark.parametrize("count", [2, 3, 30])
def test_uniformity_is_the_log_of_the_mean_over_pairs(count: int, block: int) -> None:
    x = vectors(count, 6)
    pairs = [(a, b) for i, a in enumerate(x) for b in x[:i]]
    naive = math.log(sum(math.exp(-2 * float(((a - b) ** 2).sum())) for a, b in pairs) / len(pairs))
    assert uniformity(x, block) == pytest.approx(naive, abs=1e-5)


@pytest.mark.parametrize("figure", [rankme, uniformity])
def test_bad_input_is_refused(figure: Callable[[NDArray[np.float32]], float]) -> None:
    for bad in (np.nan, np.inf):
        x = vectors(4, 3)
        x[2, 1] = bad
        with pytest.raises(EvaluationError, match="NaN or infinity"):
            figure(x)
    with pytest.raises(EvaluationError, match="at least 2 vectors"):
        uniformity(vectors(1, 4))


def test_agreement_is_the_mean_share_of_common_neighbours() -> None:
    rng = np.random.default_rng(0)
    first, second = (np.array([rng.permutation(12)[:5] for _ in range(40)]) for _ in range(2))
    naive = sum(len(set(a.tolist()) & set(b.tolist())) for a, b in zip(first, second, strict=True)) / (40 * 5)
    assert neighbour_agreement(first, second) == pytest.approx(naive)
    assert neighbour_agreement(first, first[:, ::-1]) == 1  # order does not count
    assert neighbour_agreement(first, first + 12) == 0


def test_a_sample_is_drawn_by_the_seed_ascending_and_without_repetition() -> None:
    drawn = sample(100, 10, seed=1)
    assert len(set(drawn.tolist())) == 10
    assert drawn.tolist() == sorted(drawn.tolist())
    assert drawn.tolist() == sample(100, 10, seed=1).tolist() != sample(100, 10, seed=2).tolist()
    assert sample(4, 10, seed=1).tolist() == sample(4, 4, seed=2).tolist() == [0, 1, 2, 3]
