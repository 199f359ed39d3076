"""Constants of the colour operations: the weights of luma, and the rotation of hue as two matrices."""

from typing import Any

import numpy as np

GREY = (0.299, 0.587, 0.114)  # ITU-R BT.601 luma, as Pillow and torchvision weigh it
# Rows turn RGB into YIQ; hue is the angle in the IQ plane.
YIQ = ((0.299, 0.587, 0.114), (0.596, -0.274, -0.322), (0.211, -0.523, 0.312))


def _hue_basis() -> tuple[Any, ...]:
    """Compute two 3x3 matrices C and S of RGB, so that grey + C cos a + S sin a turns the hue by a."""
    along, across = np.diag([0, 1.0, 1.0]), np.array([[0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]])
    return tuple(tuple(map(tuple, (np.linalg.inv(YIQ) @ part @ YIQ).tolist())) for part in (along, across))


HUE = _hue_basis()
