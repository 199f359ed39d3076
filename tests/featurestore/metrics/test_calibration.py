"""Calibration against cases that can be worked out by hand."""

import numpy as np
import pytest

from featurestore.metrics.calibration import expected_calibration_error, fit_temperature, log_loss, softmax


def sure(share: float, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Logits that always say class 0 at odds of e^4, and truths of which `share` are class 0."""
    logits = np.tile([4.0, 0.0], (count, 1))
    return logits, (np.arange(count) >= share * count).astype(int)


def test_softmax_divides_logits_by_the_temperature_and_survives_large_ones() -> None:
    found = softmax(np.array([[0.0, np.log(3.0)], [10_000.0, 0.0]]), 1.0)
    np.testing.assert_allclose(found, [[0.25, 0.75], [1.0, 0.0]])
    np.testing.assert_allclose(softmax(np.array([[0.0, 2 * np.log(3.0)]]), 2.0), [[0.25, 0.75]])


def test_the_log_loss_is_the_mean_of_minus_log_p_of_the_truth() -> None:
    found = log_loss(np.array([[0.5, 0.5], [0.1, 0.9]]), np.array([0, 1]))
    assert found == pytest.approx((np.log(2) - np.log(0.9)) / 2)


@pytest.mark.parametrize("share", [0.6, 0.75, 0.9])
def test_the_temperature_makes_confidence_equal_to_the_share_that_is_right(share: float) -> None:
    """With one odds for all, the best p is the share itself: 4 / T = log(share / (1 - share))."""
    logits, truth = sure(share, 100)
    assert fit_temperature(logits, truth) == pytest.approx(4 / np.log(share / (1 - share)), rel=1e-6)


def test_no_temperature_of_a_grid_is_better_than_the_one_that_is_found() -> None:
    rng = np.random.default_rng(0)
    logits, truth = rng.normal(size=(200, 5)) * 3, rng.integers(0, 5, 200)
    logits[np.arange(200), truth] += 2
    best = log_loss(softmax(logits, fit_temperature(logits, truth)), truth)
    assert all(best <= log_loss(softmax(logits, t), truth) + 1e-12 for t in np.geomspace(0.01, 100, 400))


def test_temperatures_stay_in_their_range() -> None:
    all_right, _ = sure(1.0, 10)
    assert fit_temperature(all_right, np.zeros(10, int)) == pytest.approx(0.01, rel=0.01)
    assert fit_temperature(all_right, np.ones(10, int)) == pytest.approx(100, rel=0.01)


def test_the_calibration_error_equals_a_loop_over_bins() -> None:
    rng = np.random.default_rng(1)
    probabilities, truth = softmax(rng.normal(size=(300, 4)) * 2), rng.integers(0, 4, 300)
    confidence, right = probabilities.max(axis=1), probabilities.argmax(axis=1) == truth
    total = 0.0
    for b in range(15):
        inside = (confidence >= b / 15) & (confidence < (b + 1) / 15)
        if inside.any():
            total += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    assert expected_calibration_error(probabilities, truth) == pytest.approx(total)


def test_full_confidence_falls_into_the_last_bin() -> None:
    probabilities, truth = np.array([[1.0, 0.0], [0.95, 0.05]]), np.array([1, 0])  # in one bin the gaps cancel out
    assert expected_calibration_error(probabilities, truth) == pytest.approx((1.0 - 0.05) / 2)
