"""Keeping a store in order: deleting items, removing unused rows, building indexes, finding and repairing damage.

In comes a store; out come reports of what was found and done. Whatever repair replaces is moved to the store's folder `damaged`, never
deleted.
"""

from featurestore.maintenance.deletion import delete
from featurestore.maintenance.encoders import drop_encoder, rename_encoder, set_default_encoder
from featurestore.maintenance.optimization import IndexBuild, OptimizeReport, optimize
from featurestore.maintenance.verification import Finding, VerifyReport, verify

__all__ = [
    "Finding",
    "IndexBuild",
    "OptimizeReport",
    "VerifyReport",
    "delete",
    "drop_encoder",
    "optimize",
    "rename_encoder",
    "set_default_encoder",
    "verify",
]
