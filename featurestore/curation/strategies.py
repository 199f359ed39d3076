"""Strategies: which candidates of a pool to label next. Each is a function of a pool, a number and a random generator."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from featurestore.ann.k_means import k_means
from featurestore.curation.pool import Floats, Ints, Pool
from featurestore.estimators.linear import SPREAD
from featurestore.metrics.calibration import softmax
from featurestore.progress import Listener

KNOWN = 3  # labels that half of the known classes must have, before uncertainty counts
REFRESHED = 32  # gains that are computed again together
CLUSTERS, FEWEST, TYPICAL = 500, 5, 20  # of TypiClust: clusters at most, items of one that counts, neighbours
Strategy = Callable[[Pool, int, np.random.Generator], Ints]


def auto(pool: Pool, count: int, generator: np.random.Generator) -> Ints:
    """Choose what covers best what is not covered yet (MaxHerding, Bae et al. 2024), and is uncertain (UHerding, Bae et al. 2025).

    Until half of the known classes have KNOWN labels, everything counts the same.
    """
    labels = np.bincount(pool.labelled.codes)
    labels = labels[labels > 0]
    if len(labels) < 2 or np.median(labels) < KNOWN:
        return herd(pool, count, np.ones(len(pool.covered), np.float32))
    return herd(pool, count, (1 - margins(pool, pool.space.references)).astype(np.float32))


def loss(pool: Pool, count: int, generator: np.random.Generator) -> Ints:
    """Choose what covers best the items with a high self-supervised loss; each counts by its rank."""
    assert pool.reference_losses is not None
    known = np.nan_to_num(pool.reference_losses, nan=float(np.nanmedian(pool.reference_losses)))
    return herd(pool, count, (np.argsort(np.argsort(known)) / len(known)).astype(np.float32))


def herd(pool: Pool, count: int, weights: Floats) -> Ints:
    """Choose candidates one by one, each the one that adds most to the weighted coverage of the references; weights: (R,).

    What a candidate adds never grows (submodularity), so that only the best are computed again (Minoux 1978).
    """
    kernel, covered = pool.space.kernel, pool.covered.copy()
    gains = np.full(len(kernel), -1.0)
    free = np.flatnonzero(pool.free)
    for start in range(0, len(free), REFRESHED):
        part = free[start : start + REFRESHED]
        gains[part] = _gains(kernel[part], covered, weights)
    chosen: list[int] = []
    for _ in range(min(count, len(free))):
        fresh = np.zeros(len(gains), bool)
        best = int(gains.argmax())
        while not fresh[best]:
            part = np.argpartition(-gains, min(REFRESHED, len(gains)) - 1)[:REFRESHED]
            part = np.r_[
                best, part[~fresh[part] & (gains[part] >= 0)]
            ]  # of equal gains, the best may not be among them
            gains[part] = _gains(kernel[part], covered, weights)
            fresh[part] = True
            best = int(gains.argmax())
        chosen.append(best)
        covered = np.maximum(covered, kernel[best])
        gains[best] = -1
    return np.array(chosen, np.int64)


def _gains(kernel: Floats, covered: Floats, weights: Floats) -> NDArray[np.floating]:
    return np.asarray(np.maximum(kernel - covered, 0) @ weights)


def random(pool: Pool, count: int, generator: np.random.Generator) -> Ints:
    """Choose uniformly at random."""
    free = np.flatnonzero(pool.free)
    return generator.permutation(free)[:count]


def typical(pool: Pool, count: int, generator: np.random.Generator) -> Ints:
    """Choose the most typical item of each of the largest clusters without a label (TypiClust, Hacohen et al. 2022)."""
    x = np.concatenate([pool.space.candidates[pool.free], pool.labelled.x])
    free = np.flatnonzero(pool.free)
    groups = min(len(pool.labelled.x) + count, CLUSTERS, len(x))
    seed = int(generator.integers(2**31))
    _, group = k_means(x.astype(np.float16), np.arange(len(x)), groups, seed, Listener())
    own, of_labelled = group[: len(free)], np.bincount(group[len(free) :], minlength=groups)
    sizes = np.bincount(own, minlength=groups)
    order = np.lexsort((-sizes, of_labelled, sizes <= FEWEST))
    chosen: list[int] = []
    left = {int(number): _by_typicality(x, np.flatnonzero(own == number)) for number in order[: count * 2]}
    while len(chosen) < min(count, len(free)):
        before = len(chosen)
        for members in left.values():
            if members and len(chosen) < count:
                chosen.append(members.pop(0))
        if len(chosen) == before:  # fewer items in these clusters than are asked for
            others = np.setdiff1d(np.arange(len(free)), chosen)
            chosen += generator.permutation(others)[: count - len(chosen)].tolist()
    return free[chosen]


def _by_typicality(x: Floats, members: Ints) -> list[int]:
    """Order the members of a cluster by their mean similarity to their nearest neighbours in it."""
    found: list[int] = members.tolist()
    if len(members) < 2:
        return found
    scores = np.sort(x[members] @ x[members].T, axis=1)[:, -min(TYPICAL + 1, len(members)) : -1]
    return [found[place] for place in np.argsort(-scores.mean(axis=1), kind="stable").tolist()]


def coreset(pool: Pool, count: int, generator: np.random.Generator) -> Ints:
    """Choose each time the candidate that is farthest from all labelled ones (k-center greedy, Sener and Savarese 2018)."""
    free = np.flatnonzero(pool.free)
    x = pool.space.candidates[free]
    nearest = np.full(len(x), -1, np.float32)
    for start in range(0, len(pool.labelled.x), 512):
        nearest = np.maximum(nearest, (x @ pool.labelled.x[start : start + 512].T).max(axis=1))
    chosen = [] if len(pool.labelled.x) or not len(free) else [int(generator.integers(len(free)))]
    while len(chosen) < min(count, len(free)):
        if chosen:
            nearest = np.maximum(nearest, x @ x[chosen[-1]])
        nearest[chosen] = np.inf
        chosen.append(int(nearest.argmin()))
    return free[chosen]


def margin(pool: Pool, count: int, generator: np.random.Generator) -> Ints:
    """Choose the candidates whose two most probable classes are closest; at random while fewer than two classes are known."""
    if len(np.unique(pool.labelled.codes)) < 2:
        return random(pool, count, generator)
    free = np.flatnonzero(pool.free)
    return free[np.argsort(margins(pool, pool.space.candidates[free]), kind="stable")[:count]]


def badge(pool: Pool, count: int, generator: np.random.Generator) -> Ints:
    """Choose by k-means++ of the gradients that the predicted labels would give (BADGE, Ash et al. 2020).

    A gradient is the outer product of vector and error, so that distances need neither: |a|² + |b|² - 2 (a · b) (x · y).
    """
    if len(np.unique(pool.labelled.codes)) < 2:
        return random(pool, count, generator)
    free = np.flatnonzero(pool.free)
    x = pool.space.candidates[free]
    errors = probabilities(pool, x)
    errors[np.arange(len(x)), errors.argmax(axis=1)] -= 1
    length = (errors**2).sum(axis=1)
    chosen = [int(length.argmax())]
    distance = np.full(len(x), np.inf)
    while len(chosen) < min(count, len(free)):
        last = chosen[-1]
        apart = length + length[last] - 2 * (errors @ errors[last]) * (x @ x[last])
        distance = np.minimum(distance, apart.clip(0))
        distance[chosen] = 0
        total = distance.sum()
        left = np.setdiff1d(np.arange(len(free)), chosen)
        drawn = generator.choice(len(x), p=distance / total) if total > 0 else generator.choice(left)
        chosen.append(int(drawn))
    return free[chosen]


def probabilities(pool: Pool, x: Floats) -> NDArray[np.float64]:
    """Predict vectors (n, D) by ridge regression on the labelled ones: (n, C) for the C classes that occur."""
    weights, bias = pool.labelled.planes
    return softmax(x @ weights + bias, SPREAD)


def margins(pool: Pool, x: Floats) -> NDArray[np.float64]:
    """Give the probability of the first class less that of the second for vectors (n, D): (n,)."""
    best = np.sort(probabilities(pool, x), axis=1)
    return np.asarray(best[:, -1] - best[:, -2])


STRATEGIES: dict[str, Strategy] = {
    "auto": auto,
    "typical": typical,
    "coreset": coreset,
    "margin": margin,
    "badge": badge,
    "loss": loss,
    "random": random,
}
