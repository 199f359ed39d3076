"""A small collection that is indexed as if it were large."""

import pytest

from tests.featurestore.ann.naive import clustered
from tests.featurestore.ann.small import COUNT, DIM, SIZES, Built, build_quietly


@pytest.fixture(autouse=True)
def threads(one_faiss_thread: None) -> None:
    """One."""


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Small sizes, for one test."""
    for name, value in SIZES.items():
        monkeypatch.setattr(name, value)


@pytest.fixture(scope="session")
def built() -> Built:
    with pytest.MonkeyPatch.context() as patch:
        for name, value in SIZES.items():
            patch.setattr(name, value)
        vectors, clusters = clustered(COUNT, DIM)
        return Built(vectors, clusters, *build_quietly(vectors))
