"""Draws of labelled images, class by class and by seed."""

import numpy as np
from numpy.typing import NDArray


def draw_share(codes: NDArray[np.integer], share: float, seed: int) -> NDArray[np.intp]:
    """Draw a share of each class, at least two of it where it has two, else one: places in `codes` (N,), ascending.

    A class is shuffled by seed and class alone, so that a smaller share is part of a larger one.
    """
    drawn = []
    for code in np.unique(codes):
        places = np.random.default_rng([seed, int(code)]).permutation(np.flatnonzero(codes == code))
        drawn.append(places[: max(min(2, len(places)), round(share * len(places)))])
    return np.sort(np.concatenate(drawn))
