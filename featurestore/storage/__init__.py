"""A store on disk: the one join of catalog, vector files, indexes and encoder files.

In come vectors with their items (`VectorWriter`), encoders and questions; out come snapshots, labelled items and opened encoders. The
order of writing stands here: vectors to disk first, then one transaction of the catalog.
"""

from featurestore.storage.labelled_items import LabelledItems
from featurestore.storage.layout import Layout
from featurestore.storage.snapshot import ItemVectors, Snapshot
from featurestore.storage.storage import Storage
from featurestore.storage.vector_writer import VectorWriter

__all__ = ["ItemVectors", "LabelledItems", "Layout", "Snapshot", "Storage", "VectorWriter"]
