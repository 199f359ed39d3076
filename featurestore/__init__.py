"""Run image encoders over collections, and keep, search and measure what they say.

from featurestore import FeatureStore

store = FeatureStore.open("photos.store", encoder="encoder.onnx")
store.index("photos/", labels="folders")
store.search("query.jpg", k=10).sheet("hits.png")
"""

import os
from importlib import import_module
from typing import TYPE_CHECKING, Any

from featurestore.errors import FeatureStoreError
from featurestore.version import __version__

# onnxruntime sends figures about models to its makers, and keeps a number for this machine on the disk, unless this is set before it is
# imported.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

if TYPE_CHECKING:
    from featurestore.encoders.classifier import Classifier
    from featurestore.encoders.encoder import Encoder
    from featurestore.evaluation.compare import compare
    from featurestore.evaluation.knn import KnnReport
    from featurestore.ingest.reports import IndexReport
    from featurestore.progress import Listener
    from featurestore.search.results import Matches
    from featurestore.store import FeatureStore

__all__ = [
    "Classifier",
    "Encoder",
    "FeatureStore",
    "FeatureStoreError",
    "IndexReport",
    "KnnReport",
    "Listener",
    "Matches",
    "__version__",
    "compare",
]

# Imported at first use, so that a command loads only the rooms that it needs.
_MODULES = {
    "Classifier": "featurestore.encoders.classifier",
    "Encoder": "featurestore.encoders.encoder",
    "FeatureStore": "featurestore.store",
    "IndexReport": "featurestore.ingest.reports",
    "KnnReport": "featurestore.evaluation.knn",
    "Listener": "featurestore.progress",
    "Matches": "featurestore.search.results",
    "compare": "featurestore.evaluation.compare",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_MODULES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)  # and not the modules
