"""Vectors as an encoder file will give them."""

import numpy as np

from featurestore.ann.normalize import unit_rows
from featurestore.estimators.whitening import Part, fit_parts
from trainers.training.features import finished

PARTS = (Part(6), Part(10, kept=4, length=0.35))


def test_parts_are_whitened_as_in_an_encoder_file() -> None:
    """There one linear map does both, behind a network that gives its parts their lengths."""
    rng = np.random.default_rng(0)
    bank, queries = (rng.normal(size=(count, 16)).astype(np.float32) for count in (100, 20))

    def of_network(x: np.ndarray) -> np.ndarray:
        first, second = np.split(x, [6], axis=1)
        return np.concatenate([unit_rows(first), 0.35 * unit_rows(second)], axis=1)

    whitening = fit_parts(of_network(bank), PARTS)
    found = finished(bank, queries, PARTS)
    for x, given in zip((bank, queries), found, strict=True):
        assert given is not None
        np.testing.assert_allclose(given, unit_rows(whitening(of_network(x))), atol=1e-5)
        assert given.shape[1] == 6 + 4


def test_too_few_vectors_only_get_their_lengths() -> None:
    x = np.random.default_rng(0).normal(size=(20, 16)).astype(np.float32)
    given, nothing = finished(x, None, PARTS)
    first, second = np.split(given, [6], axis=1)
    np.testing.assert_allclose(np.linalg.norm(second, axis=1) / np.linalg.norm(first, axis=1), 0.35, rtol=1e-5)
    np.testing.assert_allclose(unit_rows(first), unit_rows(x[:, :6]), atol=1e-6)
    assert nothing is None
