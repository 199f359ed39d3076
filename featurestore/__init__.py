"""Run image encoders over collections, and keep, search and measure what they say.

from featurestore import FeatureStore

store = FeatureStore.open("photos.store", encoder="encoder.onnx")
store.index("photos/", labels="folders")
store.search("query.jpg", k=10).sheet("hits.png")
"""

from featurestore.classifierfile import Classifier
from featurestore.comparing import compare
from featurestore.encoder import Encoder
from featurestore.errors import FeatureStoreError
from featurestore.results import IndexReport, KnnReport, Matches
from featurestore.store import FeatureStore
from featurestore.version import __version__

__all__ = [
    "Classifier",
    "Encoder",
    "FeatureStore",
    "FeatureStoreError",
    "IndexReport",
    "KnnReport",
    "Matches",
    "__version__",
    "compare",
]
