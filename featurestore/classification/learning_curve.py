"""How accurate a classifier has become with each label: measured on items that `suggest` drew at random, which are not learnt from."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurestore.ann.faiss_index import finite_floats
from featurestore.estimators.linear import ridge
from featurestore.metrics.statistics import wilson
from featurestore.storage.labelled_items import class_codes, content_numbers
from featurestore.storage.places_by_id import PlacesById
from featurestore.storage.storage import Storage
from featurestore.system.packages import require

SIZES = tuple(n * 10**power for power in range(1, 6) for n in (1, 2, 3, 5, 7))  # numbers of labels that are measured
MOST = 20_000  # labels that are learnt from, the first ones
FEWEST = 5  # random items that are worth measuring on

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class LearningPoint:
    """Accuracy after some labels."""

    labels: int  # that were learnt from
    top1: float  # on the random items: a fraction in [0, 1]
    ci95: tuple[float, float]


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """Accuracy by the number of labels, in the order in which they were given."""

    n_labelled: int  # items with one label
    n_classes: int
    n_test: int  # of them, those that were drawn at random
    points: tuple[
        LearningPoint, ...
    ]  # none where there are fewer than FEWEST random ones, or fewer than two classes to learn


def learning_curve(store: Storage, encoder: str | None = None) -> LearningCurve:
    """Fit ridge regression to the first labels of a store, and to more and more of them, and predict the items that were drawn at random.

    Items with the content of a random one are not learnt from. A class that is not learnt yet counts as wrong. Raises ConfigError
    without scikit-learn, EncoderNotInStore.
    """
    require("sklearn", extra="eval")
    view = store.view(encoder)
    given = store.catalog.labels.in_order()
    given = given.filter(pa.array(np.isin(given["id"].to_numpy(), view.items.ids)))
    ids, random = given["id"].to_numpy(), given["random"].to_numpy()
    rows = view.items.rows[PlacesById(view.items.ids).of(ids)]
    names, codes = class_codes(given["label"])
    contents = content_numbers(ids, *store.snapshots.now().twins())
    learnt = np.flatnonzero(~random & ~((contents >= 0) & np.isin(contents, contents[random])))[:MOST]
    points: tuple[LearningPoint, ...] = ()
    if random.sum() >= FEWEST:
        x, test = finite_floats(view.vectors[rows[learnt]]), finite_floats(view.vectors[rows[random]])
        points = measured(x, codes[learnt], test, codes[random])
    return LearningCurve(len(given), len(names), int(random.sum()), points)


def measured(
    x: NDArray[np.float32], codes: Ints, test_x: NDArray[np.float32], truth: Ints
) -> tuple[LearningPoint, ...]:
    """Measure the accuracy on test vectors (M, D), truth (M,), after the first of the labels codes (N,) of x (N, D), for SIZES and all."""
    points = []
    for size in sorted({*(size for size in SIZES if size < len(codes)), len(codes)}):
        if len(np.unique(codes[:size])) > 1:
            right = ridge(x[:size], codes[:size], test_x) == truth
            points.append(LearningPoint(size, float(right.mean()), wilson(right)))
    return tuple(points)
