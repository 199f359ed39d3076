"""Do two pictures show the same shot? The best place of the coarse search is refined, and the pixels there are compared.

Encoders are trained to see crops, colours and mirror images as the same, so that near vectors alone do not say it. The place is refined
by Gauss-Newton steps on the correlation (Lucas and Kanade 1981; Evangelidis and Psarakis 2008, "Parametric image alignment using enhanced
correlation coefficient maximization"), first with few pixels, then with all.
"""

from functools import cache
from typing import NamedTuple

import numpy as np

from featurestore.curation.in_threads import in_threads, parts_of
from featurestore.curation.pixels import (
    FLAT,
    Floats,
    Grey,
    Ints,
    blurred,
    correlation,
    mirrored,
    resized,
    sampling,
    spread_out,
)

SIDE = 32  # pixels of a thumbnail
FEW, FEW_STEPS = 16, 2  # pixels and steps of the first alignment
FEW_SLACK = (
    0.85  # by which the likeness may be lower then, on the scale of atanh: of copies of half the size it was 0.83 lower
)
FIRST_STEPS, FIRST_SLACK = 1, 0.6  # the same with all pixels; so pairs from 0.96 on are refined, which say what differs
MORE_STEPS = 3
WHOLE = (0, 0, 1, 1)
LEAST_SIDE = 0.55  # of a side, to which a part may be refined
LONGEST_STEP = (0.0625, 0.0625, 0.08, 0.08)  # in shares of a side
TOGETHER = 128  # pairs: what is computed of them stays in the cache of a core


class Aligned(NamedTuple):
    """How well pictures fit a window of others."""

    likeness: Floats  # (P,), the correlation of their pixels, from -1 to 1
    window: Floats  # (P, 4), in shares of a side: left, top, width, height


def align(thumbnails: Grey, wholes: Ints, parts: Ints, windows: Floats, least: Floats, mirror: bool) -> Aligned:
    """Refine the window of each whole that its part fits best.

    thumbnails: (M, SIDE, SIDE); wholes, parts: (P,), places in them; windows: (P, 4), where to begin, in shares of a side; least: (P,),
    the likeness below which a pair does not matter: those that cannot reach it are given up early. mirror: the parts are mirrored first.
    Brightness and contrast change nothing, and neither does half the resolution. 0 where a picture is of one colour.
    """
    found = Aligned(np.zeros(len(wholes), np.float32), np.array(windows, np.float32))
    wanted = spread_out(least)

    def work(chosen: slice) -> None:
        whole, part = (thumbnails[of[chosen]].astype(np.float32) for of in (wholes, parts))
        whole, part = (x - x.mean(axis=(1, 2), keepdims=True) for x in (whole, mirrored(part) if mirror else part))
        likeness, window = found.likeness[chosen], found.window[chosen]  # views, which are filled
        likeness[:], window[:] = refined(resized(whole, FEW), resized(part, FEW), window, FEW_STEPS)
        at: Ints = np.flatnonzero(spread_out(likeness) >= wanted[chosen] - FEW_SLACK)
        likeness[at], window[at] = refined(whole[at], part[at], window[at], FIRST_STEPS)
        # Of a copy of half the size a smaller window may seem the best: the whole is tried, too.
        entire = seen_alike(whole[at], part[at])
        window[at[entire > likeness[at]]] = WHOLE
        likeness[at] = np.maximum(entire, likeness[at])
        at = at[spread_out(likeness[at]) >= wanted[chosen][at] - FIRST_SLACK]
        more = refined(whole[at], part[at], window[at], MORE_STEPS)
        better = np.flatnonzero(more.likeness > likeness[at])
        likeness[at[better]], window[at[better]] = more.likeness[better], more.window[better]

    for _ in in_threads(work, parts_of(len(wholes), TOGETHER)):
        pass
    return found


def refined(whole: Floats, part: Floats, window: Floats, steps: int) -> Aligned:
    """Refine the window of each picture, (P, S, S), that is most like another picture, (P, S, S), by Gauss-Newton steps."""
    count, side = whole.shape[:2]
    centres = (np.arange(side, dtype=np.float32) + 0.5) / side
    seen = np.empty((count, 7, side, side), np.float32)  # slopes by left, top, width, height; the cut, the part, ones
    seen[:, 5], seen[:, 6] = part, 1
    best, best_window, best_cut = np.full(count, -1, np.float32), window, whole
    for step in range(steps + 1):
        cut = cut_out(whole, window)
        seen[:, 4] = cut
        np.matmul(cut, slope(side).T, out=seen[:, 0])
        np.matmul(slope(side), cut, out=seen[:, 1])
        np.multiply(seen[:, 0], centres, out=seen[:, 2])
        np.multiply(seen[:, 1], centres[:, None], out=seen[:, 3])
        rows = seen.reshape(count, 7, side**2)
        sums = (rows @ rows.transpose(0, 2, 1)).astype(np.float64)
        sums = sums[:, :6, :6] - sums[:, :6, 6:] * sums[:, 6:, :6] / side**2  # of what differs from the mean
        lengths = np.sqrt(sums[:, [4, 5], [4, 5]].clip(1e-6))
        norms = lengths.clip(FLAT * side)
        found = sums[:, 4, 5] / norms.prod(axis=1)
        better = found > best
        best, best_window = np.where(better, found, best), np.where(better[:, None], window, best_window)
        best_cut = np.where(better[:, None, None], cut, best_cut)
        if step == steps:
            break
        scale = 1 / window[:, [2, 3, 2, 3]].astype(np.float64)  # the cut is larger, and its slopes are smaller
        own = sums[:, :4, 4] / lengths[:, :1]  # the share of each slope that only changes the contrast
        square = sums[:, :4, :4] - own[:, :, None] * own[:, None]
        square *= scale[:, :, None] * scale[:, None]
        square += (1e-3 * np.trace(square, axis1=1, axis2=2)[:, None, None] / 4 + 1e-6) * np.eye(4)
        wanted = scale * (sums[:, :4, 5] - own * (sums[:, 4, 5] / lengths[:, 0])[:, None])
        wanted *= (lengths[:, 0] / norms[:, 1])[:, None]
        way = np.linalg.solve(square, wanted[:, :, None])[:, :, 0]
        # A step that made it worse is tried again from the best place, half as far.
        way = way.clip(np.negative(LONGEST_STEP), LONGEST_STEP) * np.where(better[:, None], 1, 0.5)
        window = np.asarray(best_window + way, np.float32)
        window[:, 2:] = window[:, 2:].clip(LEAST_SIDE, 1.05)
    return Aligned(seen_alike(best_cut, part), np.asarray(best_window, np.float32))


def seen_alike(a: Floats, b: Floats) -> Floats:
    """Correlate pairs of pictures, (P, S, S), as they are and with half the resolution of one: the best, (P,)."""
    return np.maximum(correlation(a, b), np.maximum(correlation(blurred(a), b), correlation(a, blurred(b))))


@cache
def slope(side: int) -> Floats:
    """Give what turns a row of pixels into its slopes, per side: differences of neighbours, (S, S)."""
    return np.asarray(np.gradient(np.eye(side, dtype=np.float32), 1 / side, axis=0))


def cut_out(images: Floats, window: Floats) -> Floats:
    """Cut a window out of each picture, (P, S, S), and give it the size of the whole."""
    side = images.shape[1]
    centres = (np.arange(side, dtype=np.float32) + 0.5) / side
    across, down = (sampling((window[:, at, None] + centres * window[:, at + 2, None]) * side, side) for at in (0, 1))
    return np.asarray(down @ images @ across.transpose(0, 2, 1), np.float32)
