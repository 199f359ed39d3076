"""Figures of a store: its labelled vectors, handed to the functions of `evaluation`, and reported with all that is needed to repeat them."""

from featurestore.measuring.knn import measure_knn
from featurestore.measuring.linear import LinearReport, measure_linear
from featurestore.measuring.lowshot import EpisodesReport, LowShotReport, measure_episodes, measure_lowshot
from featurestore.measuring.retrieval import RetrievalReport, measure_retrieval

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
