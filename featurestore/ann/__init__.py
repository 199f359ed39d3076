"""Nearest neighbours: exact search, and approximate search by an index whose candidates are ranked by exact scores.

Queries and the float16 vectors of a file go in, with a filter of rows; scores and rows come out, best first. Functions of arrays that know
no catalog; the only room that imports faiss.
"""

from featurestore.ann.build import build_index
from featurestore.ann.exact import rerank, rows_above, scan, search_exact
from featurestore.ann.faiss_index import RabitqIndex, floats
from featurestore.ann.index_file import open_index, save_index
from featurestore.ann.knn_graph import neighbours, without_self
from featurestore.ann.near_duplicates import drop_near_duplicates
from featurestore.ann.normalize import unit_rows
from featurestore.ann.row_filter import RowFilter
from featurestore.ann.search import Index, search_vectors
from featurestore.ann.tuning import IndexCard, worth_indexing

__all__ = [
    "Index",
    "IndexCard",
    "RabitqIndex",
    "RowFilter",
    "build_index",
    "drop_near_duplicates",
    "floats",
    "neighbours",
    "open_index",
    "rerank",
    "rows_above",
    "save_index",
    "scan",
    "search_exact",
    "search_vectors",
    "unit_rows",
    "without_self",
    "worth_indexing",
]
