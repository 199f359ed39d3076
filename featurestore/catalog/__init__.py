"""The catalog: items, labels, encoders and which row belongs to which item. Every line of SQL of the project."""

from featurestore.catalog.catalog import Catalog
from featurestore.catalog.lookup import Matched, repeated_path
from featurestore.catalog.migrate import PART
from featurestore.catalog.reading import Contents, Details
from featurestore.catalog.records import (
    Batch,
    ClassifierRecord,
    EncoderRecord,
    FailedFile,
    IndexRecord,
    ItemChange,
    no_such_encoder,
)

__all__ = [
    "PART",
    "Batch",
    "Catalog",
    "ClassifierRecord",
    "Contents",
    "Details",
    "EncoderRecord",
    "FailedFile",
    "IndexRecord",
    "ItemChange",
    "Matched",
    "no_such_encoder",
    "repeated_path",
]
