"""The catalog: the DuckDB file that says which items, labels, encoders, vectors, indexes and classifiers a store has.

In come records and Arrow tables; out come records, numpy arrays and Arrow tables. Every line of SQL stands here, and only this room
imports duckdb.
"""

from featurestore.catalog.catalog import Catalog
from featurestore.catalog.catalog_state import CatalogState
from featurestore.catalog.diff import Diff, FileToIngest, Scope
from featurestore.catalog.encoded_items import ItemDetails, ItemTable
from featurestore.catalog.labels import GivenLabels, LabelChange, LabelCounts, LabelledByPerson
from featurestore.catalog.lookup import MatchedItems, Spelling, repeated_path
from featurestore.catalog.moves import LostItem, LostItems
from featurestore.catalog.records import (
    Batch,
    ClassifierRecord,
    EncoderRecord,
    FailedFile,
    IndexRecord,
    ItemChange,
    KnownItem,
    no_such_encoder,
)
from featurestore.catalog.sql_process import check_expression

__all__ = [
    "Batch",
    "Catalog",
    "CatalogState",
    "ClassifierRecord",
    "Diff",
    "EncoderRecord",
    "FailedFile",
    "FileToIngest",
    "GivenLabels",
    "IndexRecord",
    "ItemChange",
    "ItemDetails",
    "ItemTable",
    "KnownItem",
    "LabelChange",
    "LabelCounts",
    "LabelledByPerson",
    "LostItem",
    "LostItems",
    "MatchedItems",
    "Scope",
    "Spelling",
    "check_expression",
    "no_such_encoder",
    "repeated_path",
]
