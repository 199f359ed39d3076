"""Run image encoders over collections, and keep, search and measure what they say.

from featurestore import FeatureStore

store = FeatureStore.open("photos.store", encoder="encoder.onnx")
store.index("photos/", labels="folders")
store.search("query.jpg", k=10).sheet("hits.png")
"""

from featurestore.encoders.classifier import Classifier
from featurestore.encoders.encoder import Encoder
from featurestore.errors import FeatureStoreError
from featurestore.evaluation.compare import compare
from featurestore.evaluation.knn import KnnReport
from featurestore.ingest.ingest import IndexReport
from featurestore.search.results import Matches
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
