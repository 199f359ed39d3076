"""Half-whitening against its formula written out."""

import numpy as np
import pytest

from featurestore.ann.normalize import unit_rows
from featurestore.errors import EncoderError
from featurestore.estimators import whitening
from featurestore.estimators.whitening import Part, fit, fit_parts, principal_axes, spectrum


def vectors(count: int = 200, dim: int = 6) -> np.ndarray:
    """Vectors of unit length that differ more in some directions than in others, around a centre that is not zero."""
    rng = np.random.default_rng(0)
    return unit_rows(rng.normal(size=(count, dim)) * np.arange(1, dim + 1) @ rng.normal(size=(dim, dim)) + 1)


def power(matrix: np.ndarray, exponent: float) -> np.ndarray:
    """A symmetric matrix to a power of -1/4 or -1/2, by repeated roots of its inverse: Denman and Beavers' iteration."""
    found = np.linalg.inv(matrix)
    for _ in range({-0.5: 1, -0.25: 2}[exponent]):
        y, z = found, np.eye(len(found))
        for _ in range(100):
            y, z = (y + np.linalg.inv(z)) / 2, (z + np.linalg.inv(y)) / 2
        found = y
    return found


@pytest.mark.parametrize("strength", [0.25, 0.5])
@pytest.mark.parametrize("shrinkage", [0.1, 10.0])
def test_it_is_a_power_of_the_covariance(strength: float, shrinkage: float) -> None:
    x = vectors()
    covariance = np.cov(x.T, bias=True)
    expected = power(covariance + shrinkage * np.trace(covariance) / 6 * np.eye(6), -strength)
    found = spectrum(x).whitening(strength, shrinkage)
    np.testing.assert_allclose(found.matrix / found.matrix[0, 0], expected / expected[0, 0], rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(found.mean, x.mean(axis=0), atol=1e-6)


def test_full_whitening_makes_all_directions_equal() -> None:
    x = vectors()
    np.testing.assert_allclose(np.cov(spectrum(x).whitening(0.5, 0.0)(x).T, bias=True), np.eye(6) / 6, atol=1e-5)


@pytest.mark.parametrize("count", [6, 40, 41, 200])
def test_axes_of_few_vectors_and_of_many_give_their_covariance(count: int) -> None:
    x = vectors(count, 40).astype(np.float64)
    x -= x.mean(axis=0)
    variances, directions = principal_axes(x)
    assert (np.diff(variances) >= 0).all()
    np.testing.assert_allclose(directions.T @ directions, np.eye(40), atol=1e-12)
    np.testing.assert_allclose(directions * variances @ directions.T, np.cov(x.T, bias=True), atol=1e-12)


def test_the_mapped_vectors_have_a_length_of_one_on_average() -> None:
    x = vectors()
    assert (fit(x)(x) ** 2).sum(axis=1).mean() == pytest.approx(1, abs=1e-5)


def test_directions_that_no_vector_has_are_kept() -> None:
    """A later image may have them: two of them must not become the same vector."""
    x = np.zeros((100, 8), np.float32)
    x[:, :6] = vectors(100)
    found = fit(x)
    assert found.matrix.shape == (8, 8)
    assert np.linalg.matrix_rank(found.matrix) == 8


def test_only_the_directions_that_differ_most_may_be_kept() -> None:
    """Scores of the mapped vectors are then those of the whole map, less what the other directions add."""
    rng = np.random.default_rng(0)
    x = unit_rows((rng.normal(size=(300, 6)) * [1, 0.8, 0.6, 0.01, 0.01, 0.01]).astype(np.float32))
    whole, part = fit(x), fit(x, kept=3)
    assert (part.matrix.shape, part(x).shape) == ((6, 3), (300, 3))
    np.testing.assert_allclose(part(x) @ part(x).T, whole(x) @ whole(x).T, atol=0.01)
    lengths = np.linalg.norm(part.matrix, axis=0)
    np.testing.assert_allclose(
        part.matrix.T @ part.matrix, np.diag(lengths**2), atol=1e-6
    )  # directions at right angles
    assert (np.take_along_axis(part.matrix, np.abs(part.matrix).argmax(axis=0)[None], axis=0) > 0).all()
    np.testing.assert_array_equal(fit(x, kept=6).matrix, whole.matrix)


def test_parts_are_whitened_as_if_each_were_alone_and_keep_their_lengths() -> None:
    x = np.concatenate([2 * vectors(dim=6), 0.5 * vectors(dim=4)], axis=1)
    found = fit_parts(x, [Part(6, 3), Part(4)])
    first, second = fit(x[:, :6] / 2, kept=3), fit(x[:, 6:] * 2)
    expected = np.concatenate([2 * first(x[:, :6] / 2), 0.5 * second(x[:, 6:] * 2)], axis=1)
    assert (found.matrix.shape, found.images) == ((10, 7), 200)
    np.testing.assert_allclose(found(x), expected, atol=1e-5)
    squares = (found(x) ** 2).mean(axis=0)
    np.testing.assert_allclose(
        (squares[3:].sum(), (second(x[:, 6:] * 2) ** 2).mean(axis=0).sum()), (0.25, 1), rtol=1e-4
    )
    whole = unit_rows(x)
    np.testing.assert_allclose(fit_parts(whole, [Part(10)])(whole), fit(whole)(whole), atol=1e-6)


def test_many_vectors_are_fitted_by_a_part(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(whitening, "MOST", 100)
    x = vectors()
    assert fit(x).images == 100
    np.testing.assert_array_equal(fit(x).matrix, fit(x).matrix)


@pytest.mark.parametrize(
    ("x", "says"),
    [
        (vectors(63), "expected at least 64 vectors of at most 4,096 numbers, found 63 of 6"),
        (np.ones((64, 4097), np.float32), "found 64 of 4,097"),
        (unit_rows(np.ones((64, 6))), "all 64 vectors are equal"),
    ],
)
def test_what_cannot_be_fitted_is_named(x: np.ndarray, says: str) -> None:
    with pytest.raises(EncoderError, match=says):
        fit(x)
