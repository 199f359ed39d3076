"""Do two pictures show the same shot? One is looked for in the other: at every place, in some sizes, as it is and mirrored.

Encoders are trained to see crops, colours and mirror images as the same, so that near vectors alone do not say it. The search is coarse
first, then the best place is refined by Gauss-Newton steps on the correlation (Lucas and Kanade 1981; Evangelidis and Psarakis 2008,
"Parametric image alignment using enhanced correlation coefficient maximization").
"""

from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Halves = NDArray[np.float16]
Grey = NDArray[np.uint8]

SIDE = 32  # pixels of a thumbnail
COARSE = 16  # pixels that it is looked for with
CELLS = 8  # a side, of what is compared there
SIDES, SQUARES = (16, 14, 12, 10), (15, 13, 11)  # of COARSE: parts of one picture that may be the whole of the other
LEAST_AREA = 0.45
LEAST_SIDE = 0.55  # to which a part may be refined
FLAT = 2.0  # standard deviation of grey levels (of 255) below which a picture, or a part of it, says nothing
STEPS = 5
LONGEST_STEP = (2.0, 2.0, 0.08, 0.08)  # in pixels, and in shares of a side
TOGETHER = 512  # pictures, or pairs
PART = 16_384  # pictures
GROUP = 32  # pictures that the windows of one are compared with


class Window(NamedTuple):
    """A part of a thumbnail, in pixels."""

    left: int
    top: int
    width: int
    height: int


@cache
def windows() -> tuple[Window, ...]:
    """Give the windows that are tried: all places of rectangles of SIDES, and of SQUARES, with at least LEAST_AREA."""
    shapes = {(width, height) for width in SIDES for height in SIDES} | {(side, side) for side in SQUARES}
    return tuple(
        Window(left, top, width, height)
        for width, height in sorted(shapes, reverse=True)
        if width * height >= LEAST_AREA * COARSE**2
        for top in range(COARSE - height + 1)
        for left in range(COARSE - width + 1)
    )


@cache
def window_maps() -> Floats:
    """Give what turns a thumbnail of COARSE pixels a side into its windows of CELLS a side: (W * CELLS**2, COARSE**2)."""
    maps = []
    for left, top, width, height in windows():
        down, across = np.zeros((2, CELLS, COARSE), np.float32)
        down[:, top : top + height], across[:, left : left + width] = areas(height, CELLS), areas(width, CELLS)
        maps.append(np.einsum("ab,cd->acbd", down, across).reshape(CELLS**2, COARSE**2))
    return np.concatenate(maps)


def areas(before: int, after: int) -> Floats:
    """Say what share each of `before` pixels in a row has in each of `after` ones: (after, before); each row adds up to 1."""
    edges = np.arange(after + 1) * before / after
    low, high = edges[:-1, None], edges[1:, None]
    covered = np.minimum(high, np.arange(1, before + 1)) - np.maximum(low, np.arange(before))
    return np.asarray(covered.clip(0) * after / before, np.float32)


def resized(images: Floats, side: int) -> Floats:
    """Resize squares, (P, S, S), to (P, side, side): each pixel is the mean of the area that it covers."""
    to = areas(images.shape[1], side)
    return np.asarray(to @ images @ to.T)


def normalised(values: Floats) -> tuple[Floats, Floats]:
    """Subtract the mean of the last axis and divide by the length, which is given too; what is FLAT becomes nearly 0."""
    centred = values - values.mean(axis=-1, keepdims=True)
    lengths = np.linalg.norm(centred, axis=-1, keepdims=True)
    return centred / np.maximum(lengths, FLAT * values.shape[-1] ** 0.5), lengths


def mirrored(images: Floats) -> Floats:
    """Mirror pictures, (P, S, S), left to right."""
    return images[:, :, ::-1]


class Reduced(NamedTuple):
    """Pictures as the coarse search needs them."""

    small: Halves  # (M, COARSE**2), grey levels
    cells: Halves  # (M, CELLS**2), the whole of each, normalised


def coarse_likeness(pictures: Reduced, left: Ints, right: Ints) -> Floats:
    """Say roughly how well one picture of each pair fits a window of the other, from -1 to 1: (P, 4).

    left, right: (P,), places in the pictures. The columns: right in left, left in right, mirrored right in left, mirrored left in right.
    The windows of a picture are compared with up to GROUP others in one product.
    """
    wholes, parts = np.concatenate([left, right]), np.concatenate([right, left])
    pair = np.arange(2 * len(left))
    order = np.argsort(wholes, kind="stable")
    wholes, parts, pair = wholes[order], parts[order], pair[order]
    place = np.arange(len(wholes)) - np.searchsorted(wholes, wholes)  # among those of the same picture
    group, slot = np.cumsum(place % GROUP == 0) - 1, place % GROUP
    found = np.empty((len(wholes), 2), np.float32)
    for start in range(0, int(group[-1]) + 1 if len(group) else 0, TOGETHER):
        chosen = slice(*np.searchsorted(group, (start, start + TOGETHER)))
        groups, slots = group[chosen] - start, slot[chosen]
        of_group = np.zeros(groups[-1] + 1, np.int64)
        of_group[groups] = wholes[chosen]
        table = np.zeros((len(of_group), GROUP), np.int64)
        table[groups, slots] = parts[chosen]
        seen = windows_of(pictures.small[of_group].astype(np.float32))
        asked = pictures.cells[table].astype(np.float32)
        turned = mirrored(asked.reshape(-1, CELLS, CELLS)).reshape(asked.shape)
        for column, way in enumerate((asked, turned)):
            found[pair[chosen], column] = (seen @ way.transpose(0, 2, 1)).max(axis=1)[groups, slots]
    return np.concatenate([found[: len(left)], found[len(left) :]], axis=1)[:, [0, 2, 1, 3]]


def likeness(thumbnails: Grey, wholes: Ints, parts: Ints, mirror: bool) -> Floats:
    """Say how well each part fits the best window of its whole, from -1 to 1: the correlation of their pixels, (P,).

    thumbnails: (M, SIDE, SIDE); wholes, parts: (P,), places in them; mirror: the parts are mirrored first. Brightness and contrast
    change nothing, and neither does half the resolution. 0 where a picture is of one colour.
    """
    found = np.empty(len(wholes), np.float32)
    for start in range(0, len(wholes), TOGETHER):
        chosen = slice(start, start + TOGETHER)
        whole, part = (thumbnails[of[chosen]].astype(np.float32) for of in (wholes, parts))
        found[chosen] = _refined(whole, mirrored(part) if mirror else part)
    return found


def reduced(thumbnails: Grey) -> Reduced:
    """Reduce thumbnails, (M, SIDE, SIDE)."""
    count = len(thumbnails)
    found = Reduced(np.empty((count, COARSE**2), np.float16), np.empty((count, CELLS**2), np.float16))
    for start in range(0, count, PART):
        small = resized(thumbnails[start : start + PART].astype(np.float32), COARSE).reshape(-1, COARSE**2)
        found.small[start : start + PART] = small
        found.cells[start : start + PART] = normalised(small @ window_maps()[: CELLS**2].T)[0]
    return found


def windows_of(small: Floats) -> Floats:
    """Give all windows of pictures of COARSE pixels a side, (P, COARSE**2), normalised: (P, W, CELLS**2)."""
    return normalised((small @ window_maps().T).reshape(len(small), len(windows()), -1))[0]


def _refined(whole: Floats, part: Floats) -> Floats:
    """Find the window of each picture, (P, S, S), that is most like another picture: the correlation there, (P,)."""
    centres = np.arange(SIDE, dtype=np.float32) + 0.5
    wanted = normalised(part.reshape(len(part), -1))[0]
    slope_down, slope_across = np.gradient(whole, axis=(1, 2))
    window, best_window = (_coarse_window(whole, part) for _ in range(2))
    best, best_cut = np.full(len(whole), -1, np.float32), whole
    for step in range(STEPS + 1):
        across = _sampling(window[:, 0, None] + centres * window[:, 2, None])
        down = _sampling(window[:, 1, None] + centres * window[:, 3, None])
        cut = np.asarray(down @ whole @ across.transpose(0, 2, 1), np.float32)
        seen, lengths = normalised(cut.reshape(len(whole), -1))
        found = np.einsum("pi,pi->p", seen, wanted)
        better = found > best
        best, best_window = np.where(better, found, best), np.where(better[:, None], window, best_window)
        best_cut = np.where(better[:, None, None], cut, best_cut)
        if step == STEPS:
            break
        x, y = (down @ slope @ across.transpose(0, 2, 1) for slope in (slope_across, slope_down))
        moves = np.stack([x, y, x * centres, y * centres[:, None]], axis=1).reshape(len(whole), 4, -1)
        moves -= moves.mean(axis=2, keepdims=True)
        moves -= np.einsum("pki,pi->pk", moves, seen)[:, :, None] * seen[:, None]
        moves /= np.maximum(lengths, 1e-3)[:, :, None]
        square = moves @ moves.transpose(0, 2, 1)
        square += (1e-3 * np.trace(square, axis1=1, axis2=2)[:, None, None] / 4 + 1e-9) * np.eye(4, dtype=np.float32)
        way = np.linalg.solve(square, moves @ (wanted - found[:, None] * seen)[:, :, None])[:, :, 0]
        # A step that made it worse is tried again from the best place, half as far.
        way = way.clip(np.negative(LONGEST_STEP), LONGEST_STEP) * np.where(better[:, None], 1, 0.5)
        window = np.asarray(best_window + way, np.float32)
        window[:, 2:] = window[:, 2:].clip(LEAST_SIDE, 1.05)
    return np.maximum(best, np.maximum(correlation(blurred(best_cut), part), correlation(best_cut, blurred(part))))


def _coarse_window(whole: Floats, part: Floats) -> Floats:
    """Find the window of each picture that is most like another picture by COARSE: left, top in pixels, width, height in shares, (P, 4)."""
    seen = windows_of(resized(whole, COARSE).reshape(len(whole), -1))
    wanted = normalised(resized(part, CELLS).reshape(len(part), -1))[0]
    best = (seen @ wanted[:, :, None])[:, :, 0].argmax(axis=1)
    return np.asarray(np.array(windows(), np.float32)[best] * np.array([SIDE, SIDE, 1, 1]) / COARSE, np.float32)


def correlation(a: Floats, b: Floats) -> Floats:
    """Correlate the pixels of each pair of pictures, (P, S, S): (P,)."""
    return np.asarray(np.einsum("pi,pi->p", *(normalised(x.reshape(len(x), -1))[0] for x in (a, b))))


def blurred(images: Floats) -> Floats:
    """Take half the resolution from pictures, (P, SIDE, SIDE): what a smaller copy has lost."""
    up = _sampling(np.asarray(np.arange(SIDE)[None] / 2 + 0.25, np.float32), SIDE // 2)[0]
    return np.asarray(up @ resized(images, SIDE // 2) @ up.T)


def _sampling(at: Floats, side: int = SIDE) -> Floats:
    """Give the weights of the `side` pixels of a row at some points of it: (P, n) to (P, n, side), linear between the centres of pixels."""
    inside = (at - 0.5).clip(0, side - 1)
    return np.asarray((1 - np.abs(inside[:, :, None] - np.arange(side, dtype=np.float32))).clip(0))
