"""Put classes into an order in which those that look alike to the encoder stand beside each other."""

import importlib.util
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from featurestore.metrics.label_free import sample
from featurestore.storage import LabelledItems

SAMPLED = 500  # items of a class that its mean is computed from


def by_likeness(names: Sequence[str], means: NDArray[np.float32]) -> tuple[str, ...]:
    """Order classes by hierarchical clustering (average linkage) of their mean vectors, (C, D), with the leaves in optimal order.

    Source of the leaf order: Bar-Joseph et al. 2001. Without scipy, and for two classes, the order stays.
    """
    if len(names) < 3 or importlib.util.find_spec("scipy") is None:
        return tuple(names)
    from scipy.cluster.hierarchy import leaves_list, linkage

    tree = linkage(means, "average", optimal_ordering=True)
    return tuple(names[place] for place in leaves_list(tree).tolist())


def class_means(labelled: LabelledItems, names: Sequence[str], seed: int) -> NDArray[np.float32]:
    """Compute the mean vectors of some classes: (C, D)."""
    return np.stack([_mean(labelled, labelled.names.index(name), seed) for name in names])


def _mean(labelled: LabelledItems, code: int, seed: int) -> NDArray[np.float32]:
    own = labelled.rows[labelled.codes == code]
    drawn = own[sample(len(own), SAMPLED, seed)]
    return np.asarray(labelled.stored[drawn].astype(np.float32).mean(axis=0))
