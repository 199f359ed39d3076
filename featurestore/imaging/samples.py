"""From the numbers of an image, of any type and range, to 8-bit RGB. The rule stands in docs/explanation/images.md."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from featurestore.errors import ImageError

TAIL = 0.001  # share of the values that may lie above the range: hot pixels, rims, marks
FEWEST_BITS = 8  # of whole numbers: a file that uses fewer is dark, and stays so
PART = 1 << 20  # values that are converted at a time, as each step takes up to eight bytes a value
OUTSIDE = 0.01  # share of the values outside a stated range above which the statement is not believed


@dataclass(frozen=True, slots=True)
class Samples:
    """The samples of an image that are to be read, as they are stored."""

    values: NDArray[Any]  # (H, W, C) of any type: three colours or grey, then alpha where there is one
    alpha: bool = False
    premultiplied: bool = False  # the colours are multiplied by alpha
    stated: tuple[float, float] | None = None  # black and white, where the file says them
    inverted: bool = False  # the lowest value is white
    left_out: str = ""  # in a few words, where the file has more channels


def check_bands(bands: Sequence[int], there: int) -> None:
    """Raise ImageError when an image has not all bands that are to be read, each counted from 1."""
    if max(bands) > there:
        raise ImageError(
            f"has {there} {'band' if there == 1 else 'bands'}; the encoder reads the bands {','.join(map(str, bands))}"
        )


def select(samples: Samples, bands: Sequence[int]) -> Samples:
    """Take three bands as colours, or one as grey. Raises ImageError when the image has not all of them."""
    check_bands(bands, samples.values.shape[2])
    return replace(samples, values=samples.values[..., [band - 1 for band in bands]], alpha=False)


def to_rgb(samples: Samples) -> tuple[NDArray[np.uint8], str]:
    """Turn samples into 8-bit RGB (H, W, 3), with transparency over white; also says how, in a few words. Raises ImageError."""
    values = samples.values
    shown, how = scale(values[..., :-1] if samples.alpha else values, samples.stated)
    if samples.inverted:
        np.subtract(255, shown, out=shown)
    if samples.alpha:
        alpha, _ = scale(values[..., -1:])
        shown = _over_white(shown, alpha, samples.premultiplied)
    return shown if shown.shape[2] == 3 else shown.repeat(3, axis=2), "; ".join(filter(None, (samples.left_out, how)))


def _over_white(values: NDArray[np.uint8], alpha: NDArray[np.uint8], premultiplied: bool) -> NDArray[np.uint8]:
    def convert(rows: slice) -> NDArray[Any]:
        weight = np.float32(1) if premultiplied else alpha[rows] / np.float32(255)
        return (values[rows] * weight + (255 - alpha[rows].astype(np.float32))).clip(0, 255) + 0.5

    return _by_rows(values.shape, convert)


def _by_rows(shape: tuple[int, ...], convert: Callable[[slice], NDArray[Any]]) -> NDArray[np.uint8]:
    """Make an array of 8 bits (H, W, C) from what `convert` gives for some of its rows at a time."""
    made = np.empty(shape, np.uint8)
    step = max(1, PART // math.prod(shape[1:]))
    for top in range(0, len(made), step):
        rows = slice(top, top + step)
        made[rows] = convert(rows)
    return made


def scale(values: NDArray[Any], stated: tuple[float, float] | None = None) -> tuple[NDArray[np.uint8], str]:
    """Scale values of any type to 8 bits, by these values alone; also says how, in a few words (empty: nothing to tell).

    The range is `stated`, where it is plausible. Otherwise it goes from 0 to the smallest power of two (for whole numbers 2^n - 1, n from 8)
    that holds all but the highest 0.1 % of the values; with negative values, from the lowest 0.1 % to the highest. What lies outside is
    clipped. NaN becomes black. Raises ImageError when no value is finite.
    """
    if values.dtype == np.uint8:
        return values, ""
    name = _describe(values.dtype)
    finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values.ravel()
    if not finite.size:
        raise ImageError("no value of the image is a finite number")
    if stated is not None and np.mean((finite < stated[0]) | (finite > stated[1])) <= OUTSIDE:
        return _linear(values, *stated), f"{name}; scaled by the range that the file states"
    low, high = _percentiles(finite)
    if low < 0:
        return _linear(values, low, high), f"{name} with negative values; stretched over the file's own range"
    if finite.dtype.kind == "f" and (high <= 1 or high >= 2**32 or np.any(finite != np.floor(finite))):
        top = _ceiling(high)
        return _linear(values, 0.0, top), f"{name}; scaled from 0 to {top:g}"
    bits = max(FEWEST_BITS, int(high).bit_length())
    if values.dtype.kind == "f":
        return _linear(values, 0.0, 2.0**bits - 1), f"{name} with whole numbers of {bits} bits; scaled by these"
    told = bits != 8 * values.dtype.itemsize
    return _shift(values, bits), f"{name}, of which {bits} are in use; scaled by these" if told else ""


def _describe(dtype: np.dtype[Any]) -> str:
    bits = 8 * dtype.itemsize
    return f"{bits}-bit floating point" if dtype.kind == "f" else f"{bits} bits a channel"


def _percentiles(values: NDArray[Any]) -> tuple[float, float]:
    """Give the values below and above which TAIL of all values lie."""
    places = (int(values.size * TAIL), math.ceil(values.size * (1 - TAIL)) - 1)
    if values.dtype == np.uint16 and values.size > PART:  # the same without a copy of them
        parts = (values[start : start + PART] for start in range(0, values.size, PART))
        counts = sum((np.bincount(part, minlength=1 << 16) for part in parts), np.zeros(1 << 16, np.int64))
        low, high = np.searchsorted(counts.cumsum(), places, side="right")
        return float(low), float(high)
    ordered = np.partition(values, places)
    return float(ordered[places[0]]), float(ordered[places[1]])


def _ceiling(value: float) -> float:
    """Give the smallest 2^n that is not below a value, n from -FEWEST_BITS; 1 for 0."""
    return 2.0 ** min(max(-FEWEST_BITS, math.ceil(math.log2(value))), 1023) if value > 0 else 1.0


def _shift(values: NDArray[Any], bits: int) -> NDArray[np.uint8]:
    """Keep the upper eight of the bits in use."""
    return _by_rows(values.shape, lambda rows: (values[rows] >> (bits - FEWEST_BITS)).clip(0, 255))


def _linear(values: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    """Map `low` to 0 and `high` to 255, and clip; NaN becomes 0."""

    def convert(rows: slice) -> NDArray[Any]:
        scaled = (values[rows].astype(np.float64) - low) / ((high - low) or 1.0) * 255
        return np.nan_to_num(scaled, nan=0.0).clip(0, 255) + 0.5

    with np.errstate(over="ignore", invalid="ignore"):  # of values near the limits of the type
        return _by_rows(values.shape, convert)
