"""The whitening of a run: fitted to some of its images when the training ends, and kept in the checkpoint."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import nn

from featurestore.errors import EncoderError, TrainingError
from featurestore.estimators.whitening import Whitening, fit
from featurestore.imaging.preprocess import Preprocess
from featurestore.progress import Listener
from trainers.data.images import Images
from trainers.models.backbones import feature_dim
from trainers.training.monitor import features

IMAGES_PER_NUMBER, LEAST_IMAGES = 8, 2048  # of a vector: more images change the result little, and take time

SENSELESS = "the whitening of its checkpoint does not fit its network; export it with --no-whiten, or train again"


def fit_whitening(backbone: nn.Module, images: Images, record: Preprocess, listener: Listener) -> Whitening | None:
    """Fit a whitening to the vectors of training images as the encoder sees them; None, with a note, where that cannot be done."""
    count = max(LEAST_IMAGES, IMAGES_PER_NUMBER * feature_dim(backbone))
    chosen = np.sort(np.random.default_rng(0).permutation(len(images.pixels))[:count])
    try:
        pixels = images.pixels[torch.from_numpy(chosen)]
        return fit(features(backbone, pixels, mean=record.mean, std=record.std))
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
        makes_sense = mean.shape == (dim,) and matrix.shape == (dim, dim) and np.isfinite(matrix).all()
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise TrainingError(SENSELESS) from error
    if not makes_sense:
        raise TrainingError(SENSELESS)
    return found
