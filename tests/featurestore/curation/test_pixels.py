"""The mathematics of small pictures, on cases that can be computed by hand."""

import numpy as np

from featurestore.curation.pixels import (
    areas,
    blurred,
    correlation,
    cosines,
    mirrored,
    normalised,
    resized,
    sampling,
    spread_out,
)

SIDE = 32


def test_parts_of_the_mathematics() -> None:
    np.testing.assert_allclose(areas(4, 2), [[0.5, 0.5, 0, 0], [0, 0, 0.5, 0.5]])
    np.testing.assert_allclose(areas(3, 2), [[2 / 3, 1 / 3, 0], [0, 1 / 3, 2 / 3]], atol=1e-6)
    images = np.arange(2 * SIDE**2, dtype=np.float32).reshape(2, SIDE, SIDE)
    np.testing.assert_allclose(resized(images, 1)[:, 0, 0], images.mean(axis=(1, 2)), rtol=1e-5)
    np.testing.assert_array_equal(mirrored(mirrored(images)), images)
    np.testing.assert_allclose(blurred(images)[:, 4:-4, 4:-4], images[:, 4:-4, 4:-4], rtol=1e-4)  # slopes stay
    np.testing.assert_allclose(cosines(8, SIDE) @ cosines(8, SIDE).T, np.eye(8), atol=1e-5)
    np.testing.assert_allclose(spread_out(np.array([-1, 0, 0.5], np.float32)), [0, 0, np.log(3) / 2], atol=1e-6)
    assert spread_out(np.ones(1, np.float32))[0] > 7


def test_points_between_pixels_are_linear() -> None:
    weights = sampling(np.array([[0.5, 1.0, 1.75, -3, 9]], np.float32), 3)[0]
    np.testing.assert_allclose(weights, np.array([[1, 0, 0], [0.5, 0.5, 0], [0, 0.75, 0.25], [1, 0, 0], [0, 0, 1]]))


def test_normalised_rows_and_correlation() -> None:
    unit, lengths = normalised(np.array([[3.0, -3.0, 3.0, -3.0], [9, 9, 9, 9]], np.float32))
    assert unit.tolist() == [[0.5, -0.5, 0.5, -0.5], [0, 0, 0, 0]]
    assert lengths.tolist() == [[6], [0]]
    rng = np.random.default_rng(0)
    a, b = rng.normal(0, 50, (2, 3, 8, 8)).astype(np.float32)
    expected = [float(np.corrcoef(x.ravel(), y.ravel())[0, 1]) for x, y in zip(a, b, strict=True)]
    np.testing.assert_allclose(correlation(a, b), np.array(expected), atol=1e-5)
    np.testing.assert_allclose(correlation(a, -a), [-1, -1, -1], atol=1e-5)
    assert abs(correlation(a[:1], np.full((1, 8, 8), 77, np.float32))[0]) < 1e-4
    assert correlation(a[:0], b[:0]).shape == (0,)
