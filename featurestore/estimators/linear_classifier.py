"""What a store keeps of a classifier: one plane a class and a temperature."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featurestore.catalog import ClassifierRecord
from featurestore.errors import StoreCorrupt
from featurestore.metrics.calibration import softmax


@dataclass(frozen=True)
class LinearClassifier:
    """Probabilities softmax((x @ weights + bias) / temperature) of unit-length vectors x (N, D)."""

    classes: tuple[str, ...]  # C
    weights: NDArray[np.float32]  # (D, C)
    bias: NDArray[np.float32]  # (C,)
    temperature: float

    @classmethod
    def of(cls, record: ClassifierRecord) -> "LinearClassifier":
        """Take it out of its record. Raises StoreCorrupt when that is damaged."""
        classes = record.card.get("classes", ())
        numbers = np.frombuffer(record.weights, "<f4") if len(record.weights) % 4 == 0 else np.empty(0, np.float32)
        if not record.intact or not classes or numbers.size % len(classes) or not np.isfinite(numbers).all():
            raise StoreCorrupt(
                f"the classifier {record.name!r} is damaged: not what its checksum says; train it again: featurestore classify STORE --train --name {record.name}"
            )
        table = numbers.reshape(-1, len(classes))
        return cls(tuple(classes), table[:-1], table[-1], float(record.card["temperature"]))

    def record(self, name: str, encoder: str, method: str, figures: dict[str, Any]) -> ClassifierRecord:
        """Make a record of it, with what was measured. encoder: the fingerprint of the one whose vectors it is for."""
        card = {"classes": list(self.classes), "temperature": self.temperature, "figures": figures}
        table = np.concatenate([self.weights, self.bias[None]]).astype("<f4")
        return ClassifierRecord(name, encoder, method, card, table.tobytes())

    def probabilities(self, x: NDArray[np.floating]) -> NDArray[np.float64]:
        """The probability of each class for unit-length vectors (N, D): (N, C)."""
        return softmax(x.astype(np.float32) @ self.weights + self.bias, self.temperature)

    @property
    def steepest(self) -> float:
        """How much a probability changes at most for each unit of length that a vector moves: what errors of rounding are multiplied by.

        |dp| <= max |dz_i - dz_j| / 4, and two planes differ by no more than twice what one differs from their mean.
        """
        planes = self.weights.T.astype(np.float64)
        return float(np.linalg.norm(planes - planes.mean(axis=0), axis=1).max() / (2 * self.temperature))
