"""What sets pictures apart by their looks: dark, light, blurred, empty, without colour, or of an unusual size or shape. Functions of arrays.

What is unusual depends on the collection: in one of scans, grey says nothing. So each measure is compared with the median of the collection,
in units of the spread on that side, and must also be beyond what is unremarkable in any collection.
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

QUARTILE = 0.6745  # standard deviations of a normal distribution between median and quartile
COMMON = 0.1  # share of the pictures from which something is no longer unusual


class Look(NamedTuple):
    """A way to be unusual: a measure below or above what is usual."""

    measure: str
    side: int  # -1: low values are unusual, 1: high ones
    far: float  # spreads from the median, from which a value is unusual; fewer where the measure ends soon
    remarkable: float  # values on this side are told, if the collection is not like that
    least_spread: float  # differences below are no differences


LOOKS: Mapping[str, Look] = {
    "dark": Look("brightness", -1, 2, 0.15, 0.02),
    "light": Look("brightness", 1, 2, 0.85, 0.02),
    "empty": Look("contrast", -1, 2, 0.04, 0.01),
    "blurred": Look("sharpness", -1, 3, 0.2, 0.01),
    "grey": Look("colourfulness", -1, 1, 0.01, 0.01),
    "colourful": Look("colourfulness", 1, 4, 0.1, 0.01),
    "tiny": Look("size", -1, 4, np.inf, 0.25),
    "large": Look("size", 1, 4, -np.inf, 0.25),
    "narrow": Look("shape", -1, 4, np.inf, 0.2),
    "wide": Look("shape", 1, 4, -np.inf, 0.2),
}


def measures(columns: Mapping[str, Floats]) -> dict[str, Floats]:
    """Add `size`, the logarithm of the root of the area, and `shape`, that of width over height, to the measures of M pictures.

    columns: width and height in pixels, brightness, contrast, sharpness and colourfulness, (M,) each, NaN where they are unknown.
    """
    width, height = np.log(columns["width"]), np.log(columns["height"])
    others = {name: columns[name] for name in ("brightness", "contrast", "sharpness", "colourfulness")}
    return {**others, "size": (width + height) / 2, "shape": width - height}


def unusual_looks(found: Mapping[str, Floats]) -> dict[str, Floats]:
    """Say how unusual M pictures are in each way of LOOKS, (M,): 1 for those that are not, otherwise the share of pictures as extreme.

    The share is divided by the square of the distance from the median, in units of what is far: a size that no other picture comes near is
    odder than the last of a long tail. found: as `measures` gives them.
    """
    shares = {}
    for name, look in LOOKS.items():
        values = found[look.measure] * look.side
        share = np.ones(len(values))
        known = np.isfinite(values)
        if known.any():
            median, upper = np.quantile(values[known], (0.5, 0.75))
            spread = max((upper - median) / QUARTILE, look.least_spread)
            far = known & (values > median + look.far * spread) & (values > look.remarkable * look.side)
            ordered = np.sort(values[known])
            share[far] = (len(ordered) - np.searchsorted(ordered, values[far])) / len(ordered)
            share[share > COMMON] = 1
            unusual = share < 1
            share[unusual] /= ((values[unusual] - median) / (look.far * spread)) ** 2
        shares[name] = share
    return shares
