"""What the pixels of a picture say: how bright, how rich in contrast, how sharp and how colourful it is."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

SIDE = 128  # pixels: the longer side of the small form that is measured; a smaller picture is measured as it is
WHITE = 255.0
DIGITS = 4
# Luma (ITU-R BT.601), red against green, and yellow against blue.
OPPONENTS = np.array([[0.299, 0.587, 0.114], [1, -1, 0], [0.5, 0.5, -1]], np.float32)
MEAN_WEIGHT = 0.3  # of the mean colour beside its spread (Hasler and Süsstrunk 2003)
MOST_DETAIL = 8.0  # the largest eigenvalue of the Laplacian of a grid, that of a chessboard


class Quality(NamedTuple):
    """Measures of the whole picture, rounded to DIGITS digits."""

    brightness: float  # mean luma, 0 to 1
    contrast: float  # standard deviation of luma, 0 to 0.5
    sharpness: float  # 0 to 1, see `measure`
    colourfulness: float  # 0 (grey) to 1


def small_form(image: Image.Image) -> NDArray[np.uint8]:
    """Scale an RGB image down by area until no side is longer than SIDE: (H, W, 3)."""
    if max(image.size) > SIDE:
        scale = SIDE / max(image.size)
        size = max(1, round(image.width * scale)), max(1, round(image.height * scale))
        image = image.resize(size, Image.Resampling.BOX, reducing_gap=1.0)  # first by a whole number, which is fast
    return np.asarray(image)


def measure(forms: Sequence[NDArray[np.uint8]]) -> list[Quality]:
    """Measure pictures in their small forms, (H, W, 3) each.

    Sharpness is the energy of the Laplacian of luma over that of its gradient, as a share of the most that a grid allows. That is the
    mean frequency of the edges, the square of what Hjorth (1970) calls the mobility of the gradient: about 0.6 for noise, 0 for one colour.
    Contrast and plain areas do not change it. Colourfulness is that of Hasler and Süsstrunk (2003) as a share of 255, at most 1.
    """
    of_shape: dict[tuple[int, ...], list[int]] = {}
    for place, form in enumerate(forms):
        of_shape.setdefault(form.shape, []).append(place)
    found: dict[int, Quality] = {}
    for places in of_shape.values():  # together: for small pictures, most of the time goes into calls
        found |= zip(places, _measure(np.stack([forms[place] for place in places])), strict=True)
    return [found[place] for place in range(len(forms))]


def _measure(forms: NDArray[np.uint8]) -> list[Quality]:
    """Measure B pictures of one size: (B, H, W, 3)."""
    count, height, width, _ = forms.shape
    planes = forms.reshape(-1, 3).T.astype(np.float32, order="C")
    values = np.einsum(
        "vc,cn->vn", OPPONENTS, planes
    )  # a product of matrices would start threads, in the way of the network's
    values = values.reshape(3, count, height * width)
    mean = values.mean(axis=2)
    values -= mean[:, :, None]
    spread = np.sqrt(np.einsum("cbn,cbn->cb", values, values) / (height * width))
    colours = np.hypot(spread[1], spread[2]) + MEAN_WEIGHT * np.hypot(mean[1], mean[2])
    measures = np.stack(
        [
            np.minimum(mean[0] / WHITE, 1.0),
            np.minimum(spread[0] / WHITE, 0.5),
            _sharpness(values[0].reshape(count, height, width)),
            np.minimum(colours / WHITE, 1.0),
        ],
        axis=1,
    )
    return [Quality(*row) for row in measures.astype(np.float64).round(DIGITS).tolist()]


def _sharpness(luma: NDArray[np.float32]) -> NDArray[np.float32]:
    """Give the energy of the Laplacian over that of the gradient, from 0 to 1: (B,). luma: (B, H, W), each of mean 0."""
    across, down = luma[:, :, 1:] - luma[:, :, :-1], luma[:, 1:] - luma[:, :-1]
    laplacian = np.zeros_like(luma)
    laplacian[:, :, 1:] = across
    laplacian[:, :, :-1] -= across
    laplacian[:, 1:] += down
    laplacian[:, :-1] -= down
    gradient = np.einsum("bhw,bhw->b", luma, laplacian)  # the sum of the squares of both, by Green's first identity
    energy = np.einsum("bhw,bhw->b", laplacian, laplacian)
    sharpness: NDArray[np.float32] = np.divide(
        energy, MOST_DETAIL * gradient, out=np.zeros_like(gradient), where=gradient > 0
    )
    return sharpness
