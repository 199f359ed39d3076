"""What vectors and pixels say together."""

import numpy as np

from featurestore.ann.knn_graph import build_graph
from featurestore.ann.row_filter import RowFilter
from featurestore.curation.confirmation import CLOSEST, closeness, combined, likeness_needed
from featurestore.curation.limit import LEAST
from featurestore.progress import Listener
from tests.featurestore.curation.test_pairs import vectors


def test_closeness_is_relative_to_typical_neighbours() -> None:
    x = vectors(30, {1: 0}, 0.05)
    graph = build_graph(x, RowFilter(30), 10, None, Listener())
    typical = np.full(30, 0.5, np.float32)
    found = closeness(graph, x, typical, np.array([0, 2]), np.array([1, 3]))
    scores = [float(x[a].astype(np.float64) @ x[b].astype(np.float64)) for a, b in ((0, 1), (2, 3))]
    np.testing.assert_allclose(found, [(1 - score) / 0.5 for score in scores], atol=1e-3)


def test_pixels_and_vectors_add_up() -> None:
    found = combined(np.array([0.9, 0.9, 0.9, 0.0], np.float32), np.array([1.0, 2.0, 0.5, 0.001], np.float32))
    np.testing.assert_allclose(
        found, [0.9, 0.9, np.tanh(np.arctanh(0.9) + np.log(2)), np.tanh(-np.log(CLOSEST))], atol=1e-5
    )
    assert found[3] < LEAST  # vectors alone say nothing


def test_the_likeness_needed_is_the_one_that_reaches_the_limit() -> None:
    near = np.array([0.1, 0.5, 1, 3], np.float32)
    np.testing.assert_allclose(combined(likeness_needed(near), near), LEAST, atol=1e-4)
