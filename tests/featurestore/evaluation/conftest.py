"""Two stores of 240 labelled colours: one with splits, one without."""

from pathlib import Path

import pytest

from featurestore import FeatureStore
from tests.featurestore.evaluation.labelled import labelled_store, random_entries


@pytest.fixture(scope="package")
def splits(tmp_path_factory: pytest.TempPathFactory, encoder: Path) -> FeatureStore:
    return labelled_store(tmp_path_factory.mktemp("splits"), encoder, random_entries(True, 240))


@pytest.fixture(scope="package")
def whole(tmp_path_factory: pytest.TempPathFactory, encoder: Path) -> FeatureStore:
    return labelled_store(tmp_path_factory.mktemp("whole"), encoder, random_entries(False, 240))
