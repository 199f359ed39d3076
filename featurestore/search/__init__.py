"""Searching a store by images, items and vectors.

In come queries (files, URLs, images, item ids, vectors), examples and negative examples, filters and limits; out come items with
scores, best first, as values that print, convert and draw. The vectors are searched by `ann`; items are read through a snapshot.
"""

from featurestore.search.results import Matches, Neighbours
from featurestore.search.search import features, neighbours, search, search_many, slow

__all__ = ["Matches", "Neighbours", "features", "neighbours", "search", "search_many", "slow"]
