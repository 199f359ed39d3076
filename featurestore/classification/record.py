"""A classifier to and from the record that the catalog stores."""

from typing import Any

import numpy as np

from featurestore.catalog import ClassifierRecord
from featurestore.errors import StoreCorrupt
from featurestore.estimators.linear_classifier import LinearClassifier
from featurestore.metrics.calibration import HIGHEST, LOWEST
from featurestore.system.text import as_argument, is_utf8

LARGEST = 1e30  # of a weight


def to_record(
    model: LinearClassifier, name: str, encoder: str, method: str, figures: dict[str, Any]
) -> ClassifierRecord:
    """Make the record of a classifier. encoder: fingerprint of the encoder of its vectors; figures: what was measured."""
    card = {"classes": list(model.classes), "temperature": model.temperature, "figures": figures}
    table = np.concatenate([model.weights, model.bias[None]]).astype("<f4")
    return ClassifierRecord(name, encoder, method, card, table.tobytes())


def from_record(record: ClassifierRecord, dim: int) -> LinearClassifier:
    """Read a classifier of vectors (N, dim) from its record. Raises StoreCorrupt when the record is damaged, or makes no sense."""
    if not record.intact:
        raise _damaged(record, "its checksum does not match")
    try:
        classes, temperature = record.card["classes"], float(record.card["temperature"])
        table = np.frombuffer(record.weights, "<f4").reshape(dim + 1, len(classes))
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise _damaged(record, "its card and its weights do not belong together") from error
    names = {name for name in classes if isinstance(name, str) and name and is_utf8(name)}
    if not 0 < len(names) == len(classes) or not LOWEST <= temperature <= HIGHEST or not np.abs(table).max() < LARGEST:
        raise _damaged(
            record, f"expected different names of classes, finite weights and a temperature from {LOWEST} to {HIGHEST}"
        )
    return LinearClassifier(tuple(classes), table[:-1], table[-1], temperature)


def _damaged(record: ClassifierRecord, why: str) -> StoreCorrupt:
    return StoreCorrupt(
        f"the classifier {record.name!r} is damaged: {why}; train it again: featurestore classify STORE --train --name {as_argument(record.name)}"
    )
