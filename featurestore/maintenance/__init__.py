"""Keeping a store in order: deleting items, following moved files, removing unused rows, building indexes, finding and repairing damage.

In comes a store; out come reports of what was found and done. Whatever repair replaces is moved to the store's folder `damaged`, never
deleted.
"""

from featurestore.maintenance.deletion import delete
from featurestore.maintenance.encoders import drop_encoder, rename_encoder, set_default_encoder
from featurestore.maintenance.findings import Finding, VerifyReport
from featurestore.maintenance.optimization import IndexBuild, OptimizeReport, optimize
from featurestore.maintenance.relocation import RelocateReport, relocate
from featurestore.maintenance.sources import KnownSource, forget_source, sources
from featurestore.maintenance.verification import verify

__all__ = [
    "Finding",
    "IndexBuild",
    "KnownSource",
    "OptimizeReport",
    "RelocateReport",
    "VerifyReport",
    "delete",
    "drop_encoder",
    "forget_source",
    "optimize",
    "relocate",
    "rename_encoder",
    "set_default_encoder",
    "sources",
    "verify",
]
