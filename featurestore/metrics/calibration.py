"""Calibration: whether a classifier that says 0.8 is right eight times in ten, and the one number that makes it so.

Temperature scaling and the expected calibration error of Guo et al. 2017 (On Calibration of Modern Neural Networks).
"""

import numpy as np
from numpy.typing import NDArray

LOWEST, HIGHEST = 0.01, 100.0  # temperatures looked at
STEPS = 60  # of golden section; the answer is then exact to ten digits
GOLDEN = (5**0.5 - 1) / 2


def softmax(logits: NDArray[np.floating], temperature: float = 1.0) -> NDArray[np.float64]:
    """Turn logits into probabilities softmax(logits / T): (N, C), rows sum to 1."""
    scaled = logits.astype(np.float64) / temperature
    raised = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(raised / raised.sum(axis=1, keepdims=True))


def log_loss(probabilities: NDArray[np.floating], codes: NDArray[np.integer]) -> float:
    """Mean of -log p(truth); probabilities: (N, C), codes: (N,)."""
    given = probabilities[np.arange(len(codes)), codes].astype(np.float64)
    return float(-np.log(np.maximum(given, 1e-300)).mean())


def fit_temperature(logits: NDArray[np.floating], codes: NDArray[np.integer]) -> float:
    """Find the T in [0.01, 100] at which softmax(logits / T) has the least log loss; order and top-1 stay as they are.

    logits: (N, C) of images that the classifier was not trained on; codes: (N,).
    """
    low, high = np.log(LOWEST), np.log(HIGHEST)

    def loss(log_temperature: float) -> float:
        scaled = logits.astype(np.float64) / np.exp(log_temperature)
        most = scaled.max(axis=1)
        total = most + np.log(np.exp(scaled - most[:, None]).sum(axis=1))
        return float((total - scaled[np.arange(len(codes)), codes]).mean())

    left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    at_left, at_right = loss(left), loss(right)
    for _ in range(STEPS):  # the loss is convex in 1 / T, so it has one valley in log T
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - GOLDEN * (high - low)
            at_left = loss(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + GOLDEN * (high - low)
            at_right = loss(right)
    return float(np.exp((low + high) / 2))


def expected_calibration_error(
    probabilities: NDArray[np.floating], codes: NDArray[np.integer], bins: int = 15
) -> float:
    """Mean gap between confidence and share right, over equal-width bins of the highest probability, weighed by their images.

    probabilities: (N, C); codes: (N,). Guo et al. 2017, equation 3.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == codes
    place = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(place, right - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(codes))
