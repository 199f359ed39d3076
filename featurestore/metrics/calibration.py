"""Calibration: whether predictions with probability 0.8 are right eight times in ten, and the temperature that makes them so.

Temperature scaling and expected calibration error: Guo et al. 2017, On Calibration of Modern Neural Networks. numpy only, since
fine-tuning calibrates without scikit-learn.
"""

import numpy as np
from numpy.typing import NDArray

LOWEST, HIGHEST = 0.01, 100.0  # range of the temperature
STEPS = 60  # of golden-section search; the result is then exact to ten digits
GOLDEN = (5**0.5 - 1) / 2


def softmax(logits: NDArray[np.floating], temperature: float = 1.0) -> NDArray[np.float64]:
    """Compute probabilities softmax(logits / T): (N, C); rows sum to 1."""
    scaled = logits.astype(np.float64) / temperature
    powers = np.exp(scaled - scaled.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def log_loss(probabilities: NDArray[np.floating], codes: NDArray[np.integer]) -> float:
    """Compute the mean of -log p(true class); probabilities: (N, C), codes: (N,)."""
    of_truth = probabilities[np.arange(len(codes)), codes].astype(np.float64)
    return float(-np.log(np.maximum(of_truth, 1e-300)).mean())


def fit_temperature(logits: NDArray[np.floating], codes: NDArray[np.integer]) -> float:
    """Find the T in [0.01, 100] with the least log loss of softmax(logits / T). The predicted classes do not change.

    logits: (N, C) of images that the classifier was not trained on; codes: (N,).
    """
    low, high = np.log(LOWEST), np.log(HIGHEST)

    def loss(log_temperature: float) -> float:
        scaled = logits.astype(np.float64) / np.exp(log_temperature)
        largest = scaled.max(axis=1)
        total = largest + np.log(np.exp(scaled - largest[:, None]).sum(axis=1))
        return float((total - scaled[np.arange(len(codes)), codes]).mean())

    left, right = high - GOLDEN * (high - low), low + GOLDEN * (high - low)
    at_left, at_right = loss(left), loss(right)
    for _ in range(STEPS):  # the loss is convex in 1 / T, so it has one minimum in log T
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
    """Compute the mean gap between confidence and accuracy over equal-width bins of confidence, weighted by bin size.

    probabilities: (N, C); codes: (N,). Guo et al. 2017, equation 3.
    """
    confidence = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == codes
    bin_of = np.minimum((confidence * bins).astype(int), bins - 1)
    gaps = np.bincount(bin_of, right - confidence, minlength=bins)
    return float(np.abs(gaps).sum() / len(codes))
