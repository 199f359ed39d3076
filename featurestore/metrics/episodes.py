"""Episodes of N ways and K shots: again and again some classes are drawn, and a few labels of each name some more of their items.

The measure of meta-learning (Vinyals et al. 2016), with the prototypes of Snell et al. 2017: the class whose mean has the highest score.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from featurestore.errors import EvaluationError
from featurestore.estimators.few_shot import nearest_mean
from featurestore.metrics.checks import check_finite, first_few
from featurestore.metrics.statistics import half_width

Labels = NDArray[np.integer]


@dataclass(frozen=True, slots=True)
class EpisodesResult:
    """Accuracy over episodes: fractions in [0, 1]."""

    way: int  # classes in an episode
    shots: int  # labels of each
    queries: int  # of each that are to be named
    episodes: int
    classes: int  # with labels enough, which are drawn from
    top1_mean: float
    top1_ci95: float  # half-width of the 95 % interval of the mean, by Student's t


def evaluate(
    x: NDArray[np.floating],
    labels: Labels,
    way: int,
    shots: int,
    queries: int = 15,
    episodes: int = 600,
    test: tuple[NDArray[np.floating], Labels] | None = None,
    seed: int = 0,
    names: Sequence[str] | None = None,
    advance: Callable[[], object] = lambda: None,
) -> EpisodesResult:
    """Run episodes; each depends on the seed and its number alone.

    x: (N, D), unit length; labels: (N,). Queries come from `test`, vectors (M, D) and labels (M,), or from the same rows as the shots where that
    is None; then no row is both. Raises EvaluationError when fewer than `way` classes have labels enough, which are called by `names`.
    """
    if way < 2 or shots < 1 or queries < 1 or episodes < 2:
        raise EvaluationError(
            f"way {way}, shots {shots}, queries {queries}, episodes {episodes}: expected at least 2, 1, 1 and 2"
        )
    check_finite(x, *(() if test is None else test[:1]))
    asked_x, asked_labels = (x, labels) if test is None else test
    of_class = {int(c): np.flatnonzero(labels == c) for c in np.unique(labels)}
    asked_of_class = {c: np.flatnonzero(asked_labels == c) for c in of_class}
    held = {c: (len(rows), len(asked_of_class[c])) for c, rows in of_class.items()}
    needed = (shots + queries if test is None else shots, queries)
    enough = [c for c, (own, other) in held.items() if own >= needed[0] and other >= needed[1]]
    if len(enough) < way:
        few = [f"{names[c] if names else c} has {_words(*held[c], test is None)}" for c in held if c not in enough]
        raise EvaluationError(
            f"way = {way}: expected so many classes with {_words(*needed, test is None)} each, found {len(enough)}{f' ({first_few(few)})' if few else ''}"
        )
    scores = []
    for episode in range(episodes):
        rng = np.random.default_rng([seed, episode])
        chosen = rng.choice(enough, way, replace=False)
        if test is None:
            drawn = np.stack([rng.choice(of_class[c], shots + queries, replace=False) for c in chosen])
            shown, asked = drawn[:, :shots].ravel(), drawn[:, shots:].ravel()
        else:
            shown = np.concatenate([rng.choice(of_class[c], shots, replace=False) for c in chosen])
            asked = np.concatenate([rng.choice(asked_of_class[c], queries, replace=False) for c in chosen])
        said = nearest_mean(x[shown], labels[shown], asked_x[asked])
        scores.append(float((said == asked_labels[asked]).mean()))
        advance()
    return EpisodesResult(way, shots, queries, episodes, len(enough), float(np.mean(scores)), half_width(scores))


def _words(shown: int, asked: int, same: bool) -> str:
    labels = f"{shown} label{'' if shown == 1 else 's'}"
    return labels if same else f"{labels} to learn from and {asked} to be named"
