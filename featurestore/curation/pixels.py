"""Small grey pictures as numbers: resized, normalised, mirrored, correlated."""

from functools import cache

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Ints = NDArray[np.int64]
Halves = NDArray[np.float16]
Grey = NDArray[np.uint8]

FLAT = 2.0  # standard deviation of grey levels (of 255) below which a picture, or a part of it, says nothing


@cache
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


def correlation(a: Floats, b: Floats) -> Floats:
    """Correlate the pixels of each pair of pictures, (P, S, S), with means near 0: (P,). What is FLAT is like nothing."""
    count = a.shape[1] * a.shape[2]
    a, b = (x.reshape(len(x), count) for x in (a, b))
    means = [x.mean(axis=1, dtype=np.float64) for x in (a, b)]
    squares = [np.einsum("pi,pi->p", x, x) / count - mean**2 for x, mean in zip((a, b), means, strict=True)]
    both = np.einsum("pi,pi->p", a, b) / count - means[0] * means[1]
    return np.asarray(both / np.sqrt(np.maximum(squares, FLAT**2).prod(axis=0)), np.float32)


def sampling(at: Floats, side: int) -> Floats:
    """Give the weights of the `side` pixels of a row at some points of it: (P, n) to (P, n, side), linear between the centres of pixels."""
    inside = (at - 0.5).clip(0, side - 1)
    weights = inside[:, :, None] - np.arange(side, dtype=np.float32)
    np.abs(weights, out=weights)
    np.subtract(1, weights, out=weights)
    return np.maximum(weights, 0, out=weights)


def blurred(images: Floats) -> Floats:
    """Take half the resolution from pictures, (P, S, S): what a smaller copy has lost."""
    there_and_back = _half(images.shape[1])
    return np.asarray(there_and_back @ images @ there_and_back.T)


@cache
def _half(side: int) -> Floats:
    """Give what takes half the resolution from a row of pixels: (side, side)."""
    at = np.asarray(np.arange(side)[None] / 2 + 0.25, np.float32)
    return np.asarray(sampling(at, side // 2)[0] @ areas(side, side // 2))


@cache
def cosines(waves: int, side: int) -> Floats:
    """Give the first rows of the discrete cosine transform (DCT-II), (waves, side), each of length 1."""
    wave = np.cos(np.pi * np.arange(waves)[:, None] * (np.arange(side) + 0.5) / side)
    return np.asarray(wave / np.linalg.norm(wave, axis=1, keepdims=True), np.float32)


def spread_out(likeness: Floats) -> Floats:
    """Map correlations from 0 on to the scale of atanh (Fisher 1915), on which those near 1 are spread out; at most 7.3."""
    return np.asarray(np.arctanh(likeness.clip(0, 1 - 1e-6)))
