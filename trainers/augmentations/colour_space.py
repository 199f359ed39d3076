"""Constants of the colour operations: the weights of luma, and the rotation of hue as three matrices."""

from typing import Any

import numpy as np

GREY = (0.299, 0.587, 0.114)  # ITU-R BT.601 luma, as Pillow and torchvision weigh it
# Rows turn RGB into YIQ; hue is the angle in the IQ plane.
YIQ = ((0.299, 0.587, 0.114), (0.596, -0.274, -0.322), (0.211, -0.523, 0.312))


def _hue_basis() -> tuple[Any, ...]:
    """Compute three 4x4 matrices F, C and S, so that F + C cos a + S sin a acts on (R, G, B, 1) and turns the hue by a."""
    fixed, along, across = (
        np.diag([1.0, 0, 0]),
        np.diag([0, 1.0, 1.0]),
        np.array([[0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]]),
    )
    basis = np.zeros((3, 4, 4))
    basis[:, :3, :3] = [np.linalg.inv(YIQ) @ part @ YIQ for part in (fixed, along, across)]
    basis[0, 3, 3] = 1
    return tuple(tuple(map(tuple, matrix.tolist())) for matrix in basis)


HUE = _hue_basis()
