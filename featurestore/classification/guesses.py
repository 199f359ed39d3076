"""What the labels that a store has now say of its other items: a classifier that is fitted in a moment, and kept nowhere."""

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from featurestore.ann.faiss_index import finite_floats
from featurestore.catalog import ItemTable
from featurestore.errors import EvaluationError
from featurestore.estimators.linear import SPREAD, fit_planes, left_out_logits
from featurestore.estimators.linear_classifier import LinearClassifier
from featurestore.metrics.calibration import fit_temperature
from featurestore.metrics.splits import folds_of_repeated
from featurestore.storage.labelled_items import class_codes, is_labelled
from featurestore.storage.storage import Storage
from featurestore.system.packages import require

MOST = 5_000  # labelled items that are learnt from, drawn at random
FEWEST, FOLDS = 20, 5  # labels that a temperature is fitted from, and folds
BLOCK = 16_384  # vectors that are looked at together

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Guesses:
    """The class of each of U items without a label, by the labels of the others."""

    classes: tuple[str, ...]  # C, sorted
    ids: Ints  # (U,)
    codes: Ints  # (U,), places in `classes`
    confidence: NDArray[np.float32]  # (U,): the probability of that class, from 0 to 1


def guess(store: Storage, encoder: str | None = None, ids: Ints | None = None) -> Guesses:
    """Guess the classes of the items without a label, or those of them that are in `ids`, by ridge regression.

    Up to MOST items with one label are learnt from, drawn at random. The probabilities are calibrated on labels that were left out, once
    there are FEWEST. Raises EvaluationError where fewer than two classes have a label; ConfigError without scikit-learn; EncoderNotInStore.
    """
    require("sklearn", extra="eval")
    view = store.view(encoder)
    model = _fit(view.items, view.vectors)
    unlabelled = ~is_labelled(view.items)
    if ids is not None:
        unlabelled &= np.isin(view.items.ids, ids)
    rows = view.items.rows[unlabelled]
    codes, confidence = np.empty(len(rows), np.int64), np.empty(len(rows), np.float32)
    for start in range(0, len(rows), BLOCK):
        part = slice(start, start + BLOCK)
        probabilities = model.probabilities(finite_floats(view.vectors[rows[part]]))
        codes[part], confidence[part] = probabilities.argmax(axis=1), probabilities.max(axis=1)
    return Guesses(model.classes, view.items.ids[unlabelled], codes, confidence)


def _fit(items: ItemTable, vectors: NDArray[np.float16]) -> LinearClassifier:
    places = np.flatnonzero(items.labels.is_valid().to_numpy(zero_copy_only=False))
    places = np.sort(np.random.default_rng(0).permutation(places)[:MOST])
    names, codes = class_codes(items.labels.take(pa.array(places)))
    if len(names) < 2:
        raise EvaluationError(
            f"expected labels of two classes or more to guess from, found {'none' if not len(names) else f'one, {names[0]!r}'}"
        )
    x = finite_floats(vectors[items.rows[places]])
    weights, bias = fit_planes("ridge", x, codes, None)
    return LinearClassifier(
        tuple(names.tolist()), weights.astype(np.float32), bias.astype(np.float32), _temperature(x, codes)
    )


def _temperature(x: NDArray[np.float32], codes: Ints) -> float:
    """Find the temperature at which labels that were left out are as probable as they are frequent."""
    fold = folds_of_repeated(codes, FOLDS)
    left_out = fold >= 0
    if left_out.sum() < FEWEST:
        return SPREAD
    return fit_temperature(left_out_logits("ridge", x, codes, fold)[left_out], codes[left_out])
