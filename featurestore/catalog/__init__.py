"""The catalog: items, labels, encoders and which row belongs to which item. Every line of SQL of the project."""

from featurestore.catalog.catalog import PART, Catalog, Contents, Details
from featurestore.catalog.records import Batch, EncoderRecord, ItemChange, no_such_encoder

__all__ = ["PART", "Batch", "Catalog", "Contents", "Details", "EncoderRecord", "ItemChange", "no_such_encoder"]
