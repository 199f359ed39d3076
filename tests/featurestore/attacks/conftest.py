"""The canary of each attack."""

from pathlib import Path

import pytest

from tests.featurestore.attacks.canary import Canary


@pytest.fixture
def canary(tmp_path: Path) -> Canary:
    return Canary(tmp_path / "canary")
