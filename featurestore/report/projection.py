"""Projection of vectors to two dimensions for the map: PCA, t-SNE or UMAP."""

import importlib
import importlib.util
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featurestore.errors import ConfigError, EvaluationError
from featurestore.metrics.checks import check_finite
from featurestore.report import MAPS
from featurestore.system.packages import require

PERPLEXITY = 30  # of t-SNE, where there are enough items for it
STEPS = 500  # of t-SNE: half of scikit-learn's, at half the time, and neighbours are kept as well
UMAP_NEIGHBOURS = 15


@dataclass(frozen=True, slots=True)
class MapLayout:
    """The points of n vectors on a plane."""

    method: str
    settings: str  # in words
    points: NDArray[np.float64]  # (n, 2)
    axes: tuple[str, str] | None  # what they mean, for PCA


def default_method() -> str:
    """Choose the method of a map: t-SNE keeps neighbours together better than PCA, but needs scikit-learn."""
    return "pca" if importlib.util.find_spec("sklearn") is None else "tsne"


def check_method(method: str) -> None:
    """Raise ConfigError when a method is unknown or needs a package that is not installed."""
    if method not in MAPS:
        raise ConfigError(f"map {method!r}: expected one of {', '.join(MAPS)}")
    if method == "tsne":
        require("sklearn", extra="eval")
    if method == "umap" and importlib.util.find_spec("umap") is None:
        raise ConfigError("map 'umap' needs umap-learn, which is not installed: pip install umap-learn")


def project(vectors: NDArray[np.float32], method: str, seed: int) -> MapLayout:
    """Project vectors (n, D) by PCA, t-SNE (van der Maaten & Hinton 2008) or UMAP (McInnes 2018); fewer than 8 always by PCA.

    Raises ConfigError as `check_method`, and EvaluationError for fewer than two vectors or values that are not finite.
    """
    check_method(method)
    check_finite(vectors)
    if len(vectors) < 2:
        raise EvaluationError(f"a map needs two images or more; found {len(vectors)}")
    if method == "pca" or len(vectors) < 8:
        return pca(vectors)
    if method == "tsne":
        from sklearn.manifold import TSNE
        from threadpoolctl import threadpool_limits

        perplexity = min(PERPLEXITY, (len(vectors) - 1) / 3)
        tsne = TSNE(metric="cosine", init="pca", perplexity=perplexity, max_iter=STEPS, random_state=seed)
        with threadpool_limits(1):  # threads that wait for one another make it slower, by far on a busy machine
            points = tsne.fit_transform(vectors)
        settings = f"cosine, perplexity {perplexity:.3g}"
    else:
        neighbours = min(UMAP_NEIGHBOURS, len(vectors) - 1)
        umap = importlib.import_module("umap").UMAP(
            metric="cosine", n_neighbors=neighbours, random_state=seed, n_jobs=1
        )
        points = umap.fit_transform(vectors)
        settings = f"cosine, {neighbours} neighbours"
    return MapLayout(method, settings, np.asarray(points, np.float64), None)


def pca(vectors: NDArray[np.float32]) -> MapLayout:
    """Project on the two principal components; the largest weight of each is made positive, so that the signs are defined."""
    centred = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    _, singular, components = np.linalg.svd(centred, full_matrices=False)
    first = np.zeros((2, vectors.shape[1]))
    first[: len(components[:2])] = components[:2]
    largest = np.take_along_axis(first, np.abs(first).argmax(axis=1)[:, None], axis=1)
    first *= np.where(largest < 0, -1.0, 1.0)
    shares = np.zeros(2)
    shares[: len(singular[:2])] = singular[:2] ** 2 / ((singular**2).sum() or 1.0)
    names = [f"component {n + 1}, {100 * share:.1f} % of the variance" for n, share in enumerate(shares)]
    return MapLayout("pca", f"{100 * shares.sum():.1f} % of the variance", centred @ first.T, (names[0], names[1]))
