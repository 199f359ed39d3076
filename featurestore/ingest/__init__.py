"""Bringing a store up to date with its sources, and vectors in and out as Parquet.

In come sources (folders, lists, tar shards, tables, URLs) and an encoder; new and changed images are encoded and committed in batches
that survive a crash, and items that are gone are marked as removed. Out comes a report with counts.
"""

from featurestore.ingest.reports import ImportReport, IndexReport
from featurestore.ingest.vectors_parquet import export_vectors, import_vectors

__all__ = ["ImportReport", "IndexReport", "export_vectors", "import_vectors"]
