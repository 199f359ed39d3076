"""A classifier to and from the record that the catalog stores."""

from typing import Any

import numpy as np

from featurestore.catalog import ClassifierRecord
from featurestore.errors import StoreCorrupt
from featurestore.estimators.linear_classifier import LinearClassifier
from featurestore.system.text import as_argument


def to_record(
    model: LinearClassifier, name: str, encoder: str, method: str, figures: dict[str, Any]
) -> ClassifierRecord:
    """Make the record of a classifier. encoder: fingerprint of the encoder of its vectors; figures: what was measured."""
    card = {"classes": list(model.classes), "temperature": model.temperature, "figures": figures}
    table = np.concatenate([model.weights, model.bias[None]]).astype("<f4")
    return ClassifierRecord(name, encoder, method, card, table.tobytes())


def from_record(record: ClassifierRecord) -> LinearClassifier:
    """Read a classifier from its record. Raises StoreCorrupt when the record is damaged."""
    classes = record.card.get("classes", ())
    numbers = np.frombuffer(record.weights, "<f4") if len(record.weights) % 4 == 0 else np.empty(0, np.float32)
    if not record.intact or not classes or numbers.size % len(classes) or not np.isfinite(numbers).all():
        raise StoreCorrupt(
            f"the classifier {record.name!r} is damaged: its checksum does not match; train it again: featurestore classify STORE --train --name {as_argument(record.name)}"
        )
    table = numbers.reshape(-1, len(classes))
    return LinearClassifier(tuple(classes), table[:-1], table[-1], float(record.card["temperature"]))
