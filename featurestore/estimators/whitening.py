"""Half-whitening: the directions in which vectors differ most count less, so that they do not hide the others.

For normalised embeddings of images it improves nearest neighbours, see benchmarks/results/whitening.md. Full whitening (strength 0.5) was
proposed for self-supervised encoders by Kalapos and Gyires-Tóth 2024 (arXiv:2408.07519).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from featurestore.errors import EncoderError

STRENGTH = 0.25  # exponent of the variances: 0 changes nothing but the centre, 0.5 makes all directions equal
SHRINKAGE = 3.0  # of the mean variance, added to each: more keeps few labels safe, less helps nearest neighbours
LEAST = 64  # vectors; fewer tell too little about the directions
MOST = 50_000  # vectors that are looked at
MOST_DIM = 4096  # numbers in a vector
LEAST_VARIANCE = 1e-9  # in the direction of the largest; less is rounding


@dataclass(frozen=True, slots=True)
class Whitening:
    """A linear map of vectors: (x - mean) @ matrix."""

    mean: NDArray[np.float32]  # (D,)
    matrix: NDArray[np.float32]  # (D, D), symmetric; (D, K) where only the K directions that differ most are kept
    images: int  # that it was fitted to
    strength: float = STRENGTH
    shrinkage: float = SHRINKAGE

    def __call__(self, x: NDArray[np.floating]) -> NDArray[np.float32]:
        """Map vectors of unit length, (N, D) to float32 (N, D) or (N, K); the result is not of unit length."""
        return np.asarray((np.asarray(x, np.float32) - self.mean) @ self.matrix, np.float32)

    @property
    def facts(self) -> dict[str, Any]:
        """What the card of a whitened encoder says of it."""
        return {"images": self.images, "strength": self.strength, "shrinkage": self.shrinkage}


class Part(NamedTuple):
    """A part of vectors that is whitened by itself."""

    dim: int  # numbers
    kept: int | None = None  # after the whitening; None: as many
    length: float = 1.0  # beside other parts


@dataclass(frozen=True, slots=True)
class Spectrum:
    """How vectors differ: the eigenvalues and eigenvectors of their covariance."""

    mean: NDArray[np.float64]  # (D,)
    variances: NDArray[np.float64]  # (D,)
    directions: NDArray[np.float64]  # (D, D), a column for each
    images: int

    def whitening(self, strength: float = STRENGTH, shrinkage: float = SHRINKAGE, kept: int | None = None) -> Whitening:
        """Make the map x to (x - mean) C^-strength; C is the covariance plus `shrinkage` times its mean eigenvalue.

        It is scaled so that the mapped vectors have a mean squared length of 1. kept: only so many coordinates, along the directions that
        differ most; each direction points where its largest component is positive.
        """
        gains = (self.variances + shrinkage * self.variances.mean()) ** -strength
        gains /= np.sqrt((self.variances * gains**2).sum())
        if kept is None or kept >= len(gains):
            matrix = (self.directions * gains) @ self.directions.T
        else:  # of ascending variances the last
            chosen = self.directions[:, -kept:]
            largest = np.take_along_axis(chosen, np.abs(chosen).argmax(axis=0)[None], axis=0)
            matrix = chosen * np.sign(largest) * gains[-kept:]
        return Whitening(self.mean.astype(np.float32), matrix.astype(np.float32), self.images, strength, shrinkage)


def spectrum(x: NDArray[np.floating]) -> Spectrum:
    """Compute the spectrum of vectors of unit length, (N, D). Of more than MOST a random part is used, the same each time.

    Raises EncoderError for fewer than LEAST vectors, more than MOST_DIM numbers in one, and vectors that are all equal.
    """
    count, dim = x.shape
    if count < LEAST or dim > MOST_DIM:
        raise EncoderError(
            f"expected at least {LEAST} vectors of at most {MOST_DIM:,} numbers, found {count} of {dim:,}; "
            "give more images, or use the encoder as it is"
        )
    chosen = np.sort(np.random.default_rng(0).permutation(count)[:MOST])
    vectors = np.asarray(x[chosen], np.float64)
    mean = vectors.mean(axis=0)
    vectors -= mean
    variances, directions = principal_axes(vectors)
    if not variances.max() > LEAST_VARIANCE:
        raise EncoderError(
            f"all {count} vectors are equal: the encoder does not tell these images apart; use another one"
        )
    return Spectrum(mean, variances, directions, len(vectors))


def principal_axes(x: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Compute the eigenvalues, ascending (D,), and eigenvectors, in columns (D, D), of the covariance of centred vectors, (N, D)."""
    count, dim = x.shape
    if count >= dim:
        variances, directions = np.linalg.eigh(x.T @ x / count)
        return variances.clip(0), directions
    # Fewer vectors than numbers: they differ in N directions at most, and the eigenvectors of an N x N matrix are found far sooner.
    basis, inside = np.linalg.qr(x.T, mode="complete")
    variances, turned = np.linalg.eigh(inside[:count] @ inside[:count].T / count)
    directions = np.hstack([basis[:, count:], basis[:, :count] @ turned])
    return np.concatenate([np.zeros(dim - count), variances.clip(0)]), directions


def fit(x: NDArray[np.floating], kept: int | None = None) -> Whitening:
    """Fit the whitening of encoder files to vectors of unit length, (N, D), without labels; `kept`: the length of the vectors that it gives.

    Raises EncoderError as `spectrum`.
    """
    return spectrum(x).whitening(kept=kept)


def fit_parts(x: NDArray[np.floating], parts: Sequence[Part]) -> Whitening:
    """Fit a whitening to each of consecutive parts of vectors, (N, D), without labels: none of them changes how much the others count.

    A part has one length in all vectors, which is also its mean length when it is whitened. Raises EncoderError as `spectrum`.
    """
    mean = np.zeros(x.shape[1], np.float32)
    matrix = np.zeros((x.shape[1], sum(min(part.kept or part.dim, part.dim) for part in parts)), np.float32)
    row = column = 0
    for part in parts:
        rows = slice(row, row := row + part.dim)
        of_part = x[:, rows]
        length = float(np.linalg.norm(of_part, axis=1).mean())
        found = fit(of_part / max(length, LEAST_VARIANCE), part.kept)
        mean[rows] = length * found.mean
        matrix[rows, column : (column := column + found.matrix.shape[1])] = found.matrix
    return Whitening(mean, matrix, found.images)
