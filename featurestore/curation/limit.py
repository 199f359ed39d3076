"""How alike must the details of two pictures be? What different pictures of the same collection have says it.

Of drawn cells many pairs agree by 0.99 and differ, of photographs hardly any. Pairs that are a little less alike than copies are nearly all
different pictures, and the details of different pictures that are as alike as copies by chance are distributed in the same way, somewhat
higher. So a limit can be chosen above which few of these remain: a false discovery rate with the null distribution from the data (Efron
2004, "Large-scale simultaneous hypothesis testing").
"""

from typing import NamedTuple

import numpy as np

from featurestore.curation.pixels import Floats, spread_out

LEAST = 0.988  # score from which a pair may count as one picture
DIFFERENT = (0.96, 0.975)  # scores of pairs that are different pictures, nearly all
FEWEST = 20  # such pairs: fewer say nothing about a collection
CROWDED = 0.7  # pairs above these scores for one there, both by the width on the scale of atanh: at most 0.4 elsewhere
DETAIL_LEAST = 0.964  # of any collection; on the scale of atanh, 2
HIGHER = (
    0.4  # by which details agree more where the score is above LEAST, on the scale of atanh: measured on drawn cells
)
NARROWEST = 0.15  # width on the scale of atanh
PRECISION = 0.9  # least share of true pairs among those that are listed


class Limit(NamedTuple):
    """From when on a pair is listed, and what that means."""

    detail: float  # likeness of the details, from 0 to 1; 1: no pair can be told from chance
    precision: (
        float | None
    )  # estimated share of true pairs above it; None: there are none, or FEWEST pairs to estimate it from


class ByChance(NamedTuple):
    """How alike details are, on the scale of atanh, of different pictures with scores that copies have."""

    centre: float
    width: float  # from there to where a sixth is below, or above

    def above(self, alike: Floats) -> Floats:
        """Give the share above some values: that of the logistic distribution, whose tail is longer than the normal one's."""
        return np.asarray(1 / (1 + np.exp(1.7 * (alike - self.centre) / self.width)))


def choose_limit(score: Floats, detail: Floats) -> Limit:
    """Choose the lowest limit for the details of a collection's pairs that lists true pairs, PRECISION of them; score, detail: (P,)."""
    listed = np.sort(detail[score >= LEAST])
    tried = np.append(DETAIL_LEAST, listed[listed >= DETAIL_LEAST])
    count = len(listed) - np.searchsorted(listed, tried)
    chance = by_chance(score, spread_out(detail))
    if not count[0] or chance is None:
        return Limit(DETAIL_LEAST, None)
    false = min(2 * int(np.searchsorted(spread_out(listed), chance.centre)), len(listed))
    precision = 1 - false * chance.above(spread_out(tried)) / np.maximum(count, 1)
    enough = np.flatnonzero(precision >= PRECISION)
    if not len(enough):
        return Limit(1.0, None)
    return Limit(min(float(tried[enough[0]]), 1.0), float(precision[enough[0]]))


def by_chance(score: Floats, alike: Floats) -> ByChance | None:
    """Estimate how alike the details of different pictures are; None where there are too few to say it."""
    low, middle, high = spread_out(np.array([*DIFFERENT, LEAST]))
    place = np.searchsorted(np.array([*DIFFERENT, LEAST]), score, side="right")
    different, next_ones, listed = (alike[place == at] for at in (1, 2, 3))
    density = len(different) / (middle - low), len(next_ones) / (high - middle)
    if len(listed) >= FEWEST <= len(next_ones) and density[1] > CROWDED * density[0]:
        different, higher = listed, 0.0  # most pairs are as alike as copies, or more: forms that differ in their text
    elif len(different) >= FEWEST:
        higher = HIGHER
    else:
        return None
    sixth, centre = np.quantile(different, [0.16, 0.5])  # the upper half may have copies in it
    return ByChance(centre + higher, max(centre - sixth, NARROWEST))
