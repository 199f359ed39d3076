"""Which labels are wrong: predictions for each item by all others, and what they say of its own label. Functions of arrays.

`held_out_probabilities` predicts, `wrongness` ranks, `contradicted` cuts (confident joint, Northcutt et al. 2021), `chance_wrong` says how
sure it is, by errors that are planted for the purpose.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featurestore.ann.knn_graph import KnnGraph
from featurestore.estimators.knn import TEMPERATURE, votes
from featurestore.metrics.calibration import fit_temperature, softmax

SMOOTHING = 0.05  # added to the share of the votes of each class
VOTES = 2.0  # weight of the logarithm of the votes beside that of the planes
TWIN = 0.13  # of the median distance of the nearest neighbours: those that are nearer are the same picture, and do not vote (Datalab)
STRENGTHS = (0.1, 1.0, 10.0, 100.0)  # of ridge regression; the best one for the labels as they are is taken
FLOOR = 0.003  # added to probabilities, which say nothing below
BEST_OTHER = 0.3  # weight of the logarithm of the best other probability beside that of the own one
PLANTED = 0.05  # share of the labels that are made wrong, to see what wrong ones look like
SUREST, LEAST_SUREST = (
    0.02,
    50,
)  # share of the items, and the least number, that the share of wrong labels is measured on
PRIOR = 20  # items
SAMPLED = 10_000  # rows that strength and temperature are chosen by
PART = 16_384  # rows

Floats = NDArray[np.float64]
Shares = NDArray[np.float32]  # as long as the collection, so in half the memory
Codes = NDArray[np.int64]


@dataclass(frozen=True)
class Labelled:
    """M labelled pictures, none twice."""

    graph: KnnGraph  # among themselves
    vectors: NDArray[np.floating]  # (M, D), unit length
    codes: Codes  # (M,): their classes
    classes: int


def held_out_probabilities(pictures: Labelled) -> Shares:
    """Predict the class of each picture from the labels of all others: (M, C); rows sum to 1.

    The votes of the nearest neighbours, which see fine structure, and ridge regression, which sees the whole, are multiplied. The
    temperature is the one that fits the labels best.
    """
    logits = neighbour_shares(pictures)
    planes = ridge_probabilities(pictures.vectors, pictures.codes, pictures.classes)
    for part in _parts(len(logits)):
        logits[part] = VOTES * np.log((logits[part] + SMOOTHING) / (1 + SMOOTHING * pictures.classes)) + np.log(
            planes[part] + 1e-9
        )
    return _softmax(logits, pictures.codes)


def neighbour_shares(pictures: Labelled) -> Shares:
    """Compute the share of the votes of its neighbours that each class has: (M, C); zeros where nobody votes.

    Twins do not vote: copies of a picture with the same wrong label would confirm each other.
    """
    graph = pictures.graph
    if graph.k == 0:
        return np.zeros((len(pictures.codes), pictures.classes), np.float32)
    labels = np.where(1 - graph.scores < TWIN * np.median(1 - graph.scores[:, 0]), -1, pictures.codes[graph.indices])
    found = np.empty((len(labels), pictures.classes), np.float32)
    for part in _parts(len(found)):
        summed = votes(graph.scores[part], labels[part, :, None], pictures.classes, TEMPERATURE)
        found[part] = summed / np.maximum(summed.sum(axis=1, keepdims=True), 1e-9)
    return found


def ridge_probabilities(x: NDArray[np.floating], codes: Codes, classes: int) -> Shares:
    """Predict each row by ridge regression to +1 and -1 on all other rows, without fitting it again: (N, C).

    x: (N, D). The residual of a row that is left out is its residual divided by 1 minus its leverage (Allen 1974, PRESS). The strength is
    the one of STRENGTHS with the least squared residuals of up to SAMPLED rows.
    """
    count, dim = x.shape
    mean = x.mean(axis=0, dtype=np.float64)
    centre = 2 * np.bincount(codes, minlength=classes) / count - 1

    def targets(rows: slice) -> Floats:
        return np.where(np.arange(classes) == codes[rows, None], 1.0, -1.0)

    square, mixed = np.zeros((dim, dim)), np.zeros((dim, classes))
    for part in _parts(count):
        own = x[part] - mean
        square += own.T @ own
        mixed += own.T @ (targets(part) - centre)
    variances, directions = np.linalg.eigh(square)
    weights = directions.T @ mixed

    def left_out(rows: slice, strength: float) -> Floats:
        own = (x[rows] - mean) @ directions
        scale = 1 / (variances.clip(0) + strength)
        leverage = (own**2 @ scale + 1 / count)[:, None].clip(0, 1 - 1e-6)
        return np.asarray((own @ (scale[:, None] * weights) + centre - leverage * targets(rows)) / (1 - leverage))

    some = _some(count)
    best = min(STRENGTHS, key=lambda strength: float(((left_out(some, strength) - targets(some)) ** 2).mean()))
    found = np.empty((count, classes), np.float32)
    for part in _parts(count):
        found[part] = left_out(part, best)
    return _softmax(found, codes)


def _softmax(logits: Shares, codes: Codes) -> Shares:
    """Turn logits (N, C) into probabilities, in place, at the temperature that fits the labels best."""
    some = _some(len(logits))
    temperature = fit_temperature(logits[some], codes[some])
    for part in _parts(len(logits)):
        logits[part] = softmax(logits[part], temperature)
    return logits


def _parts(count: int) -> list[slice]:
    """Cut rows into parts, so that nothing but results is as long as all."""
    return [slice(start, start + PART) for start in range(0, count, PART)]


def _some(count: int) -> slice:
    """Choose up to SAMPLED rows, evenly spread: enough to find one number by."""
    return slice(None, None, -(-count // SAMPLED))


def wrongness(probabilities: Shares, codes: Codes) -> tuple[Floats, Codes]:
    """Rank labels by how wrong they look, and give the class that each item should have: (M,), (M,).

    Mostly how improbable the own label is, and a little how probable the best other one is.
    """
    own, others = _own_and_others(probabilities, codes)
    suggested = others.argmax(axis=1)
    best = others[np.arange(len(codes)), suggested]
    return BEST_OTHER * np.log(best + FLOOR) - np.log(own + FLOOR), suggested


def contradicted(probabilities: Shares, codes: Codes) -> NDArray[np.bool_]:
    """Say which labels the confident joint contradicts: another class is as probable as it is on average for items labelled so, (M,).

    There is a threshold for each class, since rare classes are predicted less surely. The other class must also be more probable than
    the own one.
    """
    own, others = _own_and_others(probabilities, codes)
    counts = np.bincount(codes, minlength=probabilities.shape[1])
    thresholds = np.bincount(codes, own, minlength=len(counts)) / np.maximum(counts, 1)
    thresholds[counts == 0] = np.inf
    return np.asarray(((others >= thresholds) & (others > own[:, None])).any(axis=1))


def chance_wrong(pictures: Labelled, probabilities: Shares, seed: int) -> Floats:
    """Estimate how likely each label is wrong: (M,), from 0 to 1.

    Some labels are made wrong, each to a class that it is mixed up with, and everything is predicted again. Where the planted errors are
    so many times denser than other items, so are errors that were there before, times their share. That share is taken from the items
    that are predicted most surely: there, nearly every contradiction is a wrong label. Needs scikit-learn.
    """
    from sklearn.isotonic import IsotonicRegression

    generator = np.random.default_rng(seed)
    codes, classes = pictures.codes, pictures.classes
    planted = np.zeros(len(codes), bool)
    planted[generator.permutation(len(codes))[: max(1, round(PLANTED * len(codes)))]] = True
    mixed_up = np.zeros((classes, classes))
    np.add.at(mixed_up, codes, probabilities)
    np.fill_diagonal(mixed_up, 0)
    mixed_up += 1e-9 * (1 - np.eye(classes))
    limits = (mixed_up / mixed_up.sum(axis=1, keepdims=True)).cumsum(axis=1)[codes[planted]]
    changed = codes.copy()
    changed[planted] = (generator.random(len(limits))[:, None] > limits).sum(axis=1).clip(max=classes - 1)
    again = Labelled(pictures.graph, pictures.vectors, changed, classes)
    seen, _ = wrongness(held_out_probabilities(again), changed)
    share = IsotonicRegression(out_of_bounds="clip").fit(seen, planted).predict(wrongness(probabilities, codes)[0])
    times_denser = share / (1 - share).clip(1 / len(codes)) * (1 - planted.mean()) / planted.mean()
    surest = 1 - 1 / (planted.sum() + 2)  # so few planted errors cannot say more
    return np.asarray((wrong_share(probabilities, codes) * times_denser).clip(0, surest))


def wrong_share(probabilities: Shares, codes: Codes) -> float:
    """Estimate the share of wrong labels: the contradictions among the most surely predicted items.

    With few items, a prior of half a percent that counts as PRIOR items decides.
    """
    surest = np.argsort(-probabilities.max(axis=1), kind="stable")[: max(LEAST_SUREST, round(SUREST * len(codes)))]
    contradictions = int((probabilities[surest].argmax(axis=1) != codes[surest]).sum())
    return (contradictions + 0.005 * PRIOR) / (len(surest) + PRIOR)


def _own_and_others(probabilities: Shares, codes: Codes) -> tuple[Shares, Shares]:
    """Give the probability of the own label (M,), and of all others (M, C), -1 in place of the own one."""
    others = probabilities.copy()
    at = np.arange(len(codes)), codes
    others[at] = -1
    return probabilities[at], others
