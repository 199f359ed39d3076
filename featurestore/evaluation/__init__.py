"""Figures of a store: its labelled vectors, handed to the functions of `evaluation`, and reported with all that is needed to repeat them."""

from featurestore.evaluation.knn import measure_knn
from featurestore.evaluation.linear import LinearReport, measure_linear
from featurestore.evaluation.lowshot import EpisodesReport, LowShotReport, measure_episodes, measure_lowshot
from featurestore.evaluation.retrieval import RetrievalReport, measure_retrieval

__all__ = [
    "EpisodesReport",
    "LinearReport",
    "LowShotReport",
    "RetrievalReport",
    "measure_episodes",
    "measure_knn",
    "measure_linear",
    "measure_lowshot",
    "measure_retrieval",
]
