"""Put classes into an order in which those that look alike to the encoder stand beside each other."""

import importlib.util
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from featurestore.metrics.label_free import sample
from featurestore.storage import LabelledItems

SAMPLED = 500  # items of a class that its mean is computed from


def by_likeness(labelled: LabelledItems, names: Sequence[str], seed: int) -> tuple[str, ...]:
    """Order some classes by hierarchical clustering (average linkage) of their mean vectors, with the leaves in optimal order.

    Source of the leaf order: Bar-Joseph et al. 2001. Without scipy, and for two classes, the order stays.
    """
    if len(names) < 3 or importlib.util.find_spec("scipy") is None:
        return tuple(names)
    from scipy.cluster.hierarchy import leaves_list, linkage

    means = np.stack([_mean(labelled, name, seed) for name in names])
    tree = linkage(means, "average", optimal_ordering=True)
    return tuple(names[place] for place in leaves_list(tree).tolist())


def _mean(labelled: LabelledItems, name: str, seed: int) -> NDArray[np.float32]:
    own = labelled.rows[labelled.codes == labelled.names.index(name)]
    drawn = own[sample(len(own), SAMPLED, seed)]
    return np.asarray(labelled.stored[drawn].astype(np.float32).mean(axis=0))
