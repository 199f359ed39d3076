"""Where in one picture could another one be? All windows of a picture of 16 x 16 pixels are compared with others by the means of 8 x 8 cells."""

from functools import cache
from itertools import groupby
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from featurestore.curation.in_threads import in_threads, parts_of
from featurestore.curation.pixels import FLAT, Floats, Grey, Halves, Ints, areas, normalised, resized
from featurestore.progress import Listener

COARSE = 16  # pixels a side
CELLS = 8  # a side, of what is compared
SIDES, SQUARES = (16, 14, 12, 10), (15, 13, 11)  # of COARSE: parts of one picture that may be the whole of the other
LEAST_AREA = 0.45
PART = 16_384  # pictures that are reduced at a time
TOGETHER = 16  # pictures whose windows are made at a time: these stay in the cache of a core
ASKED = (
    14  # pictures in a product: small ones are not shared among threads by the library, since several threads search
)


class Window(NamedTuple):
    """A part of a picture, in pixels of COARSE."""

    left: int
    top: int
    width: int
    height: int


class Block(NamedTuple):
    """Windows that are all pairs of some rows and some columns."""

    tops: list[tuple[int, int]]  # (top, height)
    lefts: list[tuple[int, int]]  # (left, width)


class Reduced(NamedTuple):
    """Pictures as the coarse search needs them."""

    small: Halves  # (M, COARSE, COARSE), grey levels
    cells: Halves  # (M, CELLS**2), the whole of each, normalised


class CoarseLikeness(NamedTuple):
    """How well one picture of each pair fits a window of the other; the columns: right in left, left in right, and both mirrored."""

    likeness: Floats  # (P, 4), from -1 to 1
    window: NDArray[np.int16]  # (P, 4), the best place in `windows`


@cache
def blocks() -> tuple[Block, ...]:
    """Give the windows that are tried: all places of rectangles of SIDES, and of SQUARES, with at least LEAST_AREA."""
    shapes = [(high, [wide for wide in SIDES if wide * high >= LEAST_AREA * COARSE**2]) for high in SIDES]
    shapes += [(side, [side]) for side in SQUARES]
    return tuple(
        Block(places([high for high, _ in same]), places(wides))
        for wides, same in groupby(shapes, key=lambda shape: shape[1])
    )


def places(sides: list[int]) -> list[tuple[int, int]]:
    """Give the places that lengths have within COARSE: (start, length)."""
    return [(start, side) for side in sides for start in range(COARSE - side + 1)]


@cache
def windows() -> tuple[Window, ...]:
    """Give all windows in the order of `windows_of`."""
    return tuple(
        Window(left, top, width, height) for tops, lefts in blocks() for top, height in tops for left, width in lefts
    )


@cache
def window_shares() -> Floats:
    """Give all windows in shares of a side: left, top, width, height, (W, 4)."""
    return np.asarray(np.array(windows(), np.float32) / COARSE, np.float32)


def _reducing(spans: list[tuple[int, int]]) -> Floats:
    """Give what turns a row of COARSE pixels into CELLS means of each of some parts: (len(spans) * CELLS, COARSE)."""
    found = np.zeros((len(spans), CELLS, COARSE), np.float32)
    for one, (start, length) in zip(found, spans, strict=True):
        one[:, start : start + length] = areas(length, CELLS)
    return found.reshape(-1, COARSE)


@cache
def _maps() -> tuple[tuple[Floats, Floats], ...]:
    return tuple((_reducing(tops), _reducing(lefts)) for tops, lefts in blocks())


def windows_of(small: Floats) -> tuple[Floats, Floats]:
    """Give all windows of pictures, (P, COARSE, COARSE): (P, W, CELLS**2), with any brightness, and 1 / their contrast, (P, W)."""
    parts = []
    for down, across in _maps():
        seen = (down @ small @ across.T).reshape(len(small), len(down) // CELLS, CELLS, len(across) // CELLS, CELLS)
        parts.append(seen.transpose(0, 1, 3, 2, 4).reshape(len(small), -1, CELLS**2))
    found = np.concatenate(parts, axis=1)
    squares = np.einsum("pwi,pwi->pw", found, found) - found.sum(axis=2) ** 2 / CELLS**2
    return np.asarray(found, np.float32), np.asarray(1 / np.sqrt(np.maximum(squares, FLAT**2 * CELLS**2)), np.float32)


def reduced(thumbnails: Grey) -> Reduced:
    """Reduce thumbnails, (M, SIDE, SIDE)."""
    count = len(thumbnails)
    found = Reduced(np.empty((count, COARSE, COARSE), np.float16), np.empty((count, CELLS**2), np.float16))
    for start in range(0, count, PART):
        part = slice(start, start + PART)
        found.small[part] = small = resized(thumbnails[part].astype(np.float32), COARSE)
        found.cells[part] = normalised(resized(small, CELLS).reshape(-1, CELLS**2))[0]
    return found


def coarse_likeness(pictures: Reduced, left: Ints, right: Ints, listener: Listener | None = None) -> CoarseLikeness:
    """Say roughly how well one picture of each pair fits a window of the other; left, right: (P,), places in the pictures.

    The listener hears of each pair twice, since both are searched for in the other.
    """
    wholes, parts = np.concatenate([left, right]), np.concatenate([right, left])
    order = np.argsort(wholes, kind="stable")
    of, starts, counts = np.unique(wholes[order], return_index=True, return_counts=True)
    parts = parts[order]
    likeness, window = np.empty((len(order), 2), np.float32), np.empty((len(order), 2), np.int16)
    both = np.stack(
        [pictures.cells, pictures.cells.reshape(-1, CELLS, CELLS)[:, :, ::-1].reshape(-1, CELLS**2)], axis=1
    )

    def search(chosen: slice) -> None:
        seen, scale = windows_of(pictures.small[of[chosen]].astype(np.float32))
        for one, by, start, count in zip(seen, scale, starts[chosen].tolist(), counts[chosen].tolist(), strict=True):
            asked = np.zeros((-(-2 * count // ASKED) * ASKED, CELLS**2), np.float32)
            asked[: 2 * count] = both[parts[start : start + count]].reshape(2 * count, -1)
            fit = (asked.reshape(-1, ASKED, CELLS**2) @ one.T).reshape(len(asked), -1)[: 2 * count]
            fit *= by
            best = fit.argmax(axis=1)
            window[start : start + count] = best.reshape(count, 2)
            likeness[start : start + count] = fit[np.arange(2 * count), best].reshape(count, 2)

    every = parts_of(len(of), TOGETHER)
    for part, _ in zip(every, in_threads(search, every), strict=True):
        if listener:
            listener.advance(int(counts[part].sum()))
    place = np.argsort(order)
    columns = (place[: len(left)], place[len(left) :])
    return CoarseLikeness(
        *(np.concatenate([of[at] for at in columns], axis=1)[:, [0, 2, 1, 3]] for of in (likeness, window))
    )
