import numpy as np
import pytest
from numpy.typing import NDArray

from tests.trainers.export.onnx_networks import SIZE


@pytest.fixture
def pixels() -> NDArray[np.uint8]:
    """Five images for the networks in `onnx_networks`."""
    return np.random.default_rng(3).integers(0, 256, (5, SIZE, SIZE, 3), np.uint8)
