"""The augmentation of fine-tuning: milder than that of training without labels."""

import dataclasses

from trainers.augmentations import ViewSpec
from trainers.config.schema import Config
from trainers.training.setup import preprocess_of

CROP_MIN = 0.4
JITTER = 0.5  # of the strengths of the run's own jitter
GREY = 0.5  # of the run's own share of grey images


def mild_view(config: Config) -> ViewSpec:
    """Soften the run's own augmentation. What the run never changed, such as the hue, or the mirror image of a digit, stays unchanged."""
    own = config.augment
    softened = dataclasses.replace(
        own,
        crop_min=max(own.crop_min, CROP_MIN),
        brightness=own.brightness * JITTER,
        contrast=own.contrast * JITTER,
        saturation=own.saturation * JITTER,
        hue=own.hue * JITTER,
        grey=own.grey * GREY,
    )
    record = preprocess_of(config)
    return ViewSpec(config.image_size, 0.0, 0.0, softened, record.mean, record.std)
