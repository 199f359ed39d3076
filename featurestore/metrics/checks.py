"""What every figure expects of its arrays."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from featurestore.errors import EvaluationError


def check_finite(*arrays: NDArray[np.floating]) -> None:
    """Raise EvaluationError when a vector or score is NaN or infinite: nothing can be said of it."""
    if not all(np.isfinite(x).all() for x in arrays):
        raise EvaluationError(
            "some vectors hold values that are no finite numbers; take them out, or look where they come from"
        )


def check_classes(labels: NDArray[np.integer]) -> None:
    """Raise EvaluationError when there are not two classes to tell apart."""
    if len(labels) == 0 or (labels == labels[0]).all():
        raise EvaluationError(
            f"the {len(labels)} labels to learn from are of one class only; expected two or more, for there is nothing to tell apart"
        )


def first_few(texts: Sequence[str], most: int = 5) -> str:
    """Join texts for a message, and count those that are too many."""
    return ", ".join(texts[:most]) + (f" and {len(texts) - most} more" if len(texts) > most else "")
