"""A gallery of the shared store of six colours."""

from pathlib import Path

import pytest

from featurestore import FeatureStore
from featurestore.gallery.gallery import Gallery
from featurestore.gallery.thumb_cache import ThumbCache
from tests.featurestore.gallery.client import Client


@pytest.fixture
def client(shared: FeatureStore, tmp_path: Path) -> Client:
    """A client of the shared store, for tests that only read."""
    return Client(Gallery(shared, ThumbCache(tmp_path / "cache")))


@pytest.fixture
def own_client(store: FeatureStore, tmp_path: Path) -> Client:
    """A client of a copy of the store."""
    return Client(Gallery(store, ThumbCache(tmp_path / "cache")))
