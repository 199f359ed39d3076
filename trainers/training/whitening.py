"""The whitening of a run: fitted to some of its images when the training ends, and kept in the checkpoint."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from featurestore.errors import EncoderError, TrainingError
from featurestore.estimators.whitening import Whitening, fit_parts
from featurestore.progress import Listener
from trainers.data.images import Images
from trainers.training.contender import Contender
from trainers.training.features import features
from trainers.training.labelled_sample import SMALL_SIZE

# Images that it is fitted to: of up to SMALL_SIZE px so many for each number of a vector; more, or larger ones, would take minutes.
IMAGES_PER_NUMBER, LEAST_IMAGES, MOST_IMAGES, MOST_WHITENED_LARGE = 8, 2048, 16_384, 1000

SENSELESS = "the whitening of its checkpoint does not fit its network; export it with --no-whiten, or train again"


def fit_whitening(encoder: Contender, images: Images, listener: Listener) -> Whitening | None:
    """Fit a whitening to the vectors of training images at the size that the encoder sees; None, with a note, where that cannot be done."""
    record = encoder.record
    wanted = min(MOST_IMAGES, max(LEAST_IMAGES, IMAGES_PER_NUMBER * encoder.dim))
    count = wanted if record.size <= SMALL_SIZE else MOST_WHITENED_LARGE
    chosen = np.sort(np.random.default_rng(0).permutation(len(images.pixels))[:count])
    try:
        pixels = images.pixels[torch.from_numpy(chosen)]
        return fit_parts(features(encoder.network, pixels, mean=record.mean, std=record.std), encoder.parts)
    except EncoderError as error:
        listener.note(f"the vectors are not whitened: {error}")
        return None


def to_state(whitening: Whitening) -> dict[str, Any]:
    """Turn a whitening into what a checkpoint may hold."""
    return {
        "mean": torch.from_numpy(whitening.mean),
        "matrix": torch.from_numpy(whitening.matrix),
        **whitening.facts,
    }


def from_state(state: Mapping[str, Any], dim: int) -> Whitening | None:
    """Read the whitening of a checkpoint for vectors of `dim` numbers; None for one of a training that has not ended, or has none.

    Raises TrainingError when it makes no sense.
    """
    held = state.get("whitening")
    if held is None:
        return None
    try:
        mean, matrix = held["mean"].float().numpy(), held["matrix"].float().numpy()
        found = Whitening(mean, matrix, int(held["images"]), float(held["strength"]), float(held["shrinkage"]))
        is_map = matrix.ndim == 2 and matrix.shape[0] == dim and 0 < matrix.shape[1] <= dim
        makes_sense = mean.shape == (dim,) and is_map and np.isfinite(matrix).all()
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise TrainingError(SENSELESS) from error
    if not makes_sense:
        raise TrainingError(SENSELESS)
    return found
