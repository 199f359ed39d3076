"""The canary of each attack, and a client of the gallery."""

from pathlib import Path

import pytest

from featurestore import FeatureStore
from featurestore.gallery.gallery import Gallery
from featurestore.gallery.thumb_cache import ThumbCache
from tests.featurestore.attacks.canary import Canary
from tests.featurestore.gallery.client import Client


@pytest.fixture
def canary(tmp_path: Path) -> Canary:
    return Canary(tmp_path / "canary")


@pytest.fixture
def client(shared: FeatureStore, tmp_path: Path) -> Client:
    """A client of the shared store, for tests that only read."""
    return Client(Gallery(shared, ThumbCache(tmp_path / "cache")))
