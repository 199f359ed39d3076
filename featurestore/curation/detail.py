"""Do the details of two pictures agree? Different pictures of one layout share the large forms: a blot in the middle, a digit, a horizon."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from featurestore.curation.alignment import SIDE, cut_out
from featurestore.curation.in_threads import in_threads, parts_of
from featurestore.curation.pixels import Floats, Grey, Ints, cosines, mirrored

WAVES = (4, 8)  # half waves a side: finer than the large forms, and still there in copies of half the size
FAINT = 0.5  # standard deviation of grey levels below which detail says nothing
TOGETHER = 512  # pairs


def detail_likeness(thumbnails: Grey, wholes: Ints, parts: Ints, windows: Floats, mirror: bool) -> Floats:
    """Correlate parts with the windows of their wholes by the waves of medium length alone: (P,), from -1 to 1.

    thumbnails: (M, SIDE, SIDE); wholes, parts: (P,), places in them; windows: (P, 4), in shares of a side; mirror: the parts are mirrored
    first. Nearly 0 where a picture has no detail.
    """

    def work(chosen: slice) -> Floats:
        whole, part = (thumbnails[of[chosen]].astype(np.float32) for of in (wholes, parts))
        a, b = _details(cut_out(whole, windows[chosen])), _details(mirrored(part) if mirror else part)
        lengths = (np.linalg.norm(x, axis=1).clip(FAINT * SIDE) for x in (a, b))
        return np.asarray(np.einsum("pi,pi->p", a, b) / np.prod(list(lengths), axis=0), np.float32)

    return np.concatenate([np.empty(0, np.float32), *in_threads(work, parts_of(len(wholes), TOGETHER))])


def _details(images: Floats) -> Floats:
    few = cosines(WAVES[1], SIDE)
    return np.asarray((few @ images @ few.T)[:, medium_waves()])


@cache
def medium_waves() -> NDArray[np.bool_]:
    """Say which of the first cosines are within WAVES, by the root of both squared numbers of half waves."""
    waves = np.hypot(*np.indices((WAVES[1], WAVES[1])))
    return np.asarray((waves >= WAVES[0]) & (waves < WAVES[1]))
