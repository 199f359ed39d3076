"""Accuracy without the images that have an exact copy among those they are compared with: a copy gives the label away."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Twins:
    """Test images with an exact copy, and the accuracy without them."""

    n: int
    top1_without: float | None  # a fraction in [0, 1]; None when there are no twins, or no other images


def without_twins(right: NDArray[np.bool_], twins: NDArray[np.bool_]) -> Twins:
    """Compute the accuracy of the images without a twin; right, twins: (n,), whether each was predicted correctly, and has a twin."""
    n = int(twins.sum())
    return Twins(n, float(right[~twins].mean()) if 0 < n < len(right) else None)
