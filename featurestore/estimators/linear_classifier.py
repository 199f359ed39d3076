"""The classifier of a store as numbers: one plane a class and a temperature."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featurestore.metrics.calibration import softmax


@dataclass(frozen=True)
class LinearClassifier:
    """Probabilities softmax((x @ weights + bias) / temperature) of unit-length vectors x (N, D)."""

    classes: tuple[str, ...]  # C
    weights: NDArray[np.float32]  # (D, C)
    bias: NDArray[np.float32]  # (C,)
    temperature: float

    def probabilities(self, x: NDArray[np.floating]) -> NDArray[np.float64]:
        """Compute the probability of each class for unit-length vectors (N, D): (N, C)."""
        return softmax(x.astype(np.float32) @ self.weights + self.bias, self.temperature)

    @property
    def steepest(self) -> float:
        """The largest change of a probability per unit of length that a vector moves: the factor by which rounding errors grow.

        |dp| <= max |dz_i - dz_j| / 4, and two planes differ by at most twice what one differs from their mean.
        """
        planes = self.weights.T.astype(np.float64)
        return float(np.linalg.norm(planes - planes.mean(axis=0), axis=1).max() / (2 * self.temperature))
