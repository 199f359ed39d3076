"""How alike must the details of two pictures be? What different pictures of the same collection have says it.

Of drawn cells many pairs agree by 0.99 and differ, of photographs hardly any. Pairs that are a little less alike than copies are nearly all
different pictures, and the details of different pictures that are as alike as copies by chance are distributed in the same way, somewhat
higher. So a limit can be chosen above which few of these remain: a false discovery rate with the null distribution from the data (Efron
2004, "Large-scale simultaneous hypothesis testing").
"""

from math import erfc
from typing import NamedTuple

import numpy as np

from featurestore.curation.pixels import Floats, spread_out

LEAST = 0.988  # score from which a pair may count as one picture
DIFFERENT = (0.96, 0.975)  # scores of pairs that are different pictures, nearly all
FEWEST = 20  # such pairs: fewer say nothing about a collection
DETAIL_LEAST = 0.964  # of any collection; on the scale of atanh, 2
HIGHER = (
    0.4  # by which details agree more where the score is above LEAST, on the scale of atanh: measured on drawn cells
)
NARROWEST = 0.15  # standard deviation on the scale of atanh
PRECISION = 0.9  # least share of true pairs among those that are listed


class Limit(NamedTuple):
    """From when on a pair is listed, and what that means."""

    detail: float  # likeness of the details, from 0 to 1; 1: no pair can be told from chance
    precision: (
        float | None
    )  # estimated share of true pairs above it; None: there are none, or FEWEST pairs to estimate it from


def choose_limit(score: Floats, detail: Floats) -> Limit:
    """Choose the lowest limit for the details of a collection's pairs that lists true pairs, PRECISION of them; score, detail: (P,)."""
    alike = spread_out(detail)
    listed = np.sort(detail[score >= LEAST])
    # Of forms hardly any pair is so little alike; then the next ones serve, although copies may be among them.
    bands = (alike[(score >= DIFFERENT[0]) & (score < end)] for end in (DIFFERENT[1], LEAST))
    different = next((band for band in bands if len(band) >= FEWEST), alike[:0])
    tried = np.append(DETAIL_LEAST, listed[listed >= DETAIL_LEAST])
    count = len(listed) - np.searchsorted(listed, tried)
    if not count[0] or len(different) < FEWEST:
        return Limit(DETAIL_LEAST, None)
    low, middle = np.quantile(different, [0.16, 0.5])  # the upper half may have copies in it
    centre, width = middle + HIGHER, max(middle - low, NARROWEST)
    by_chance = min(2 * np.searchsorted(spread_out(listed), centre), len(listed))
    expected = by_chance * np.array([erfc(x) / 2 for x in (spread_out(tried) - centre) / (width * 2**0.5)])
    precision = 1 - expected / np.maximum(count, 1)
    enough = np.flatnonzero(precision >= PRECISION)
    if not len(enough):
        return Limit(1.0, None)
    return Limit(min(float(tried[enough[0]]), 1.0), float(precision[enough[0]]))
