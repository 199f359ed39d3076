"""The methods that learn from few labels, by name.

Each is a function of train vectors (n, D), their labels (n,) and test vectors (M, D), all of unit length, and predicts labels (M,).
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from featurestore.estimators import knn, linear, nearest_mean

Labels = NDArray[np.integer]
Method = Callable[[NDArray[np.floating], Labels, NDArray[np.floating]], Labels]

FEW_SHOT_METHODS: dict[str, Method] = {
    "nearest-mean": nearest_mean.predict,
    "knn": knn.predict,
    "logistic": linear.logistic,
    "ridge": linear.ridge,
    "nearest-neighbour": knn.predict_nearest,
}
NEEDS_SKLEARN = ("logistic", "ridge")
SETTINGS: dict[str, dict[str, float]] = {
    "knn": {"k": knn.K, "temperature": knn.TEMPERATURE},
    "logistic": {"c": linear.C},
    "ridge": {"alpha": linear.ALPHA},
}  # of the methods that have any
