"""k-means groups of unit vectors."""

import numpy as np
import pytest

from featurestore.ann.k_means import k_means
from featurestore.errors import EvaluationError
from featurestore.progress import Listener


def test_clusters_that_lie_apart_are_found_whatever_their_size() -> None:
    truth = np.repeat(np.arange(3), (100, 40, 10))
    x = np.eye(3, 8)[truth] + 0.05 * np.random.default_rng(0).standard_normal((150, 8))
    vectors = np.zeros((300, 8), np.float16)
    rows = np.arange(150) * 2
    vectors[rows] = x / np.linalg.norm(x, axis=1, keepdims=True)
    centres, group = k_means(vectors, rows, 3, 0, Listener())
    assert np.linalg.norm(centres, axis=1) == pytest.approx(1, abs=1e-5)
    assert len(set(zip(truth.tolist(), group.tolist(), strict=True))) == 3
    assert len(k_means(vectors, rows, 3, 2**40, Listener())[0]) == 3  # a seed larger than FAISS takes
    again = k_means(vectors, rows, 3, 0, Listener())[1]
    assert again.tolist() == group.tolist()


@pytest.mark.parametrize("groups", [0, 4])
def test_more_groups_than_rows_are_refused(groups: int) -> None:
    with pytest.raises(EvaluationError, match=f"{groups} clusters: expected from 1 to 3"):
        k_means(np.eye(3, dtype=np.float16), np.arange(3), groups, 0, Listener())
