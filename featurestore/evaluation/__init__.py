"""Measures of a store: k-NN, linear classification, few labels, episodes, retrieval, and encoders compared.

A store with labels goes in, a report with everything needed to repeat the measurement comes out. Each measure is a function that takes a
store; `measure_knn` and its like take its labelled items. `evaluation.compare` is imported on its own, since most programs do not compare.
"""

from featurestore.evaluation.episodes import EpisodesReport, episodes, measure_episodes
from featurestore.evaluation.knn import KnnReport, knn, measure_knn
from featurestore.evaluation.linear import LinearReport, linear, measure_linear
from featurestore.evaluation.lowshot import LowShotReport, lowshot, measure_lowshot
from featurestore.evaluation.retrieval import RetrievalReport, measure_retrieval, retrieval

__all__ = [
    "EpisodesReport",
    "KnnReport",
    "LinearReport",
    "LowShotReport",
    "RetrievalReport",
    "episodes",
    "knn",
    "linear",
    "lowshot",
    "measure_episodes",
    "measure_knn",
    "measure_linear",
    "measure_lowshot",
    "measure_retrieval",
    "retrieval",
]
