"""The map: vectors of many dimensions laid out on a plane."""

import importlib
import importlib.util
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featurestore.errors import ConfigError, EvaluationError
from featurestore.metrics.checks import check_finite
from featurestore.report import MAPS
from featurestore.system.packages import need

NEIGHBOURS = 30  # t-SNE's perplexity, where there are items enough for it


@dataclass(frozen=True, slots=True)
class Layout:
    """Places of n vectors on a plane."""

    method: str
    settings: str  # in words
    places: NDArray[np.float64]  # (n, 2)
    axes: tuple[str, str] | None  # what they mean, where they mean something


def check_method(method: str) -> None:
    """Raises ConfigError when a map cannot be made by a method, for it is unknown or needs what is not installed."""
    if method not in MAPS:
        raise ConfigError(f"map {method!r}: expected one of {', '.join(MAPS)}")
    if method == "tsne":
        need("sklearn", extra="eval")
    if method == "umap" and importlib.util.find_spec("umap") is None:
        raise ConfigError("map 'umap' needs umap-learn, which is not installed: pip install umap-learn")


def lay_out(vectors: NDArray[np.float32], method: str, seed: int) -> Layout:
    """Lay vectors (n, D) out by PCA, t-SNE (van der Maaten & Hinton 2008) or UMAP (McInnes 2018).

    Too few vectors for a method are laid out by PCA. Raises ConfigError like `check_method`, EvaluationError when there are fewer than
    two vectors, or values of them are no numbers.
    """
    check_method(method)
    check_finite(vectors)
    if len(vectors) < 2:
        raise EvaluationError(f"a map needs two images or more; found {len(vectors)}")
    if method == "pca" or len(vectors) < 8:
        return pca(vectors)
    if method == "tsne":
        from sklearn.manifold import TSNE

        perplexity = min(NEIGHBOURS, (len(vectors) - 1) / 3)
        places = TSNE(metric="cosine", init="pca", perplexity=perplexity, random_state=seed).fit_transform(vectors)
        settings = f"cosine, perplexity {perplexity:.3g}"
    else:
        neighbours = min(15, len(vectors) - 1)
        umap = importlib.import_module("umap").UMAP(
            metric="cosine", n_neighbors=neighbours, random_state=seed, n_jobs=1
        )
        places = umap.fit_transform(vectors)
        settings = f"cosine, {neighbours} neighbours"
    return Layout(method, settings, np.asarray(places, np.float64), None)


def pca(vectors: NDArray[np.float32]) -> Layout:
    """Project on the two directions of most variance; each points to where its largest weight is positive."""
    centred = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    _, spread, directions = np.linalg.svd(centred, full_matrices=False)
    first = np.zeros((2, vectors.shape[1]))
    first[: len(directions[:2])] = directions[:2]
    largest = np.take_along_axis(first, np.abs(first).argmax(axis=1)[:, None], axis=1)
    first *= np.where(largest < 0, -1.0, 1.0)
    shares = np.zeros(2)
    shares[: len(spread[:2])] = spread[:2] ** 2 / ((spread**2).sum() or 1.0)
    names = [f"component {n + 1}, {100 * share:.1f} % of the variance" for n, share in enumerate(shares)]
    return Layout("pca", f"{100 * shares.sum():.1f} % of the variance", centred @ first.T, (names[0], names[1]))
