"""How odd vectors are: against naive versions, and on collections with foreign groups."""

import numpy as np
import pytest
from numpy.typing import NDArray

from featurestore.ann.knn_graph import build_graph
from featurestore.ann.row_filter import RowFilter
from featurestore.curation import oddness
from featurestore.curation.oddness import (
    harmonic_mean,
    local_outlier_factors,
    shares_by_vectors,
    shell_distances,
    upper_shares,
)
from featurestore.progress import Listener


def unit(x: NDArray[np.floating]) -> NDArray[np.float16]:
    return np.asarray(x / np.linalg.norm(x, axis=1, keepdims=True), np.float16)


def cloud(count: int, seed: int = 0, spread: float = 0.2, dim: int = 16) -> NDArray[np.float64]:
    generator = np.random.default_rng(seed)
    centre = np.random.default_rng(99).standard_normal(dim)
    return centre / np.linalg.norm(centre) + spread * generator.standard_normal((count, dim))


def test_a_tight_foreign_group_is_odder_than_all_others() -> None:
    foreign = np.eye(16)[3] + 0.01 * np.random.default_rng(1).standard_normal((12, 16))
    vectors = unit(np.concatenate([cloud(1500), foreign]))
    graph = build_graph(vectors, RowFilter(len(vectors), None), 10, None, Listener())
    odd = harmonic_mean(shares_by_vectors(graph, vectors, 0, Listener()))
    assert (odd[1500:, None] < odd[:1500]).mean() > 0.98  # area under the ROC curve
    # Their neighbours are of their own group, so that the distances to these say the opposite.
    assert graph.scores[1500:].mean() > graph.scores[:1500].mean()


def test_a_single_stranger_is_the_oddest() -> None:
    vectors = unit(np.concatenate([cloud(300, spread=0.1), -cloud(1, seed=5, spread=0.0)]))
    graph = build_graph(vectors, RowFilter(len(vectors), None), 20, None, Listener())
    assert harmonic_mean(shares_by_vectors(graph, vectors, 0, Listener())).argmin() == 300


def test_the_local_outlier_factor_equals_that_of_scikit_learn() -> None:
    neighbors = pytest.importorskip("sklearn.neighbors")
    vectors = unit(cloud(200))
    graph = build_graph(vectors, RowFilter(len(vectors), None), 20, None, Listener())
    expected = -neighbors.LocalOutlierFactor(n_neighbors=20, metric="cosine").fit(vectors.astype(np.float64)).negative_outlier_factor_  # fmt: skip
    # Of nearly equal neighbours each may take another.
    assert local_outlier_factors(graph) == pytest.approx(expected, rel=1e-2)


def test_the_shell_is_the_farther_half_of_the_nearest_references(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oddness, "PART", 7)
    vectors = unit(cloud(50))
    graph = build_graph(vectors, RowFilter(len(vectors), None), 5, None, Listener())
    found = shell_distances(graph, vectors, 0, Listener())
    for row, distance in enumerate(found):
        scores = sorted((float(vectors[row].astype(np.float32) @ other.astype(np.float32)) for n, other in enumerate(vectors) if n != row), reverse=True)  # fmt: skip
        assert distance == pytest.approx(1 - np.mean(scores[10:20]), abs=1e-5)


def test_shares_count_what_is_as_large() -> None:
    assert upper_shares(np.array([1.0, 3.0, 2.0, 3.0])).tolist() == [1.0, 0.5, 0.75, 0.5]


@pytest.mark.parametrize("count", [1, 2])
def test_so_few_items_are_not_odd(count: int) -> None:
    vectors = unit(cloud(count))
    graph = build_graph(vectors, RowFilter(count, None), 20, None, Listener())
    assert shares_by_vectors(graph, vectors, 0, Listener()).tolist() == [[1.0] * count] * 4
