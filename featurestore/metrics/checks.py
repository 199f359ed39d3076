"""Checks of arrays that several measures share."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from featurestore.errors import EvaluationError


def check_finite(*arrays: NDArray[np.floating]) -> None:
    """Raise EvaluationError when a vector or score is NaN or infinite."""
    if not all(np.isfinite(x).all() for x in arrays):
        raise EvaluationError(
            "expected finite numbers, found vectors with NaN or infinity; remove them, or find out what made them"
        )


def check_classes(labels: NDArray[np.integer]) -> None:
    """Raise EvaluationError when the labels are of fewer than two classes."""
    if len(labels) == 0 or (labels == labels[0]).all():
        raise EvaluationError(
            f"expected training labels of two classes or more, found {len(labels)} of one class only; label items of another class"
        )


def first_few(texts: Sequence[str], most: int = 5) -> str:
    """Join texts for a message: the first `most`, and how many more there are."""
    return ", ".join(texts[:most]) + (f" and {len(texts) - most} more" if len(texts) > most else "")
