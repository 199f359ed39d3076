"""What a view of an image should look like: the settings of the augmentation, and one view that a method wants."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from featurestore.imaging.preprocess import IMAGENET_MEAN, IMAGENET_STD
from trainers.settings import setting

# BYOL's augmentation (appendix B), used by MoCo v3 and DINO as well: the two views differ in blur and solarization.
ASYMMETRIC: Mapping[str, Any] = {"saturation": 0.2, "blur": [1.0, 0.1], "solarize": [0.0, 0.2]}
STRENGTH: Mapping[str, Any] = {
    "least": 0,
    "most": 2,
    "usual": (0, 1),
    "unit": "s for a factor from 1 - s to 1 + s",
}


@dataclass(frozen=True, slots=True)
class AugmentConfig:
    """Settings of the augmentation; `blur` and `solarize` have one probability for each view."""

    # Smallest share of the image's area that a view shows
    crop_min: float = setting(0.2, above=0, most="crop_max", usual=(0.02, 1))
    crop_max: float = setting(1.0, above=0, most=1)
    aspect: float = setting(4 / 3, least=1, most=10)  # the crop's aspect ratio lies between 1 / aspect and aspect
    flip: float = setting(0.5, least=0, most=1)  # probability of a mirror image; 0 where left and right matter
    rotate: float = setting(0.0, least=0, most=180)  # degrees, drawn from [-rotate, rotate]
    jitter: float = setting(0.8, least=0, most=1)  # probability of the colour jitter below
    brightness: float = setting(0.4, **STRENGTH)
    contrast: float = setting(0.4, **STRENGTH)
    saturation: float = setting(0.4, **STRENGTH)
    # Share of the full circle
    hue: float = setting(0.1, least=0, most=0.5, unit="share of the full circle, not degrees")
    grey: float = setting(0.2, least=0, most=1)  # probability of a grey image
    blur: tuple[float, float] = setting((0.5, 0.5), least=0, most=1)
    solarize: tuple[float, float] = setting((0.0, 0.0), least=0, most=1)


@dataclass(frozen=True, slots=True)
class ViewSpec:
    """One view that a method wants."""

    size: int  # pixels
    blur: float  # probability
    solarize: float  # probability
    augment: AugmentConfig
    mean: tuple[float, float, float] = IMAGENET_MEAN  # of the channels in [0, 1], as the network expects them
    std: tuple[float, float, float] = IMAGENET_STD


def two_views(config: AugmentConfig, size: int) -> tuple[ViewSpec, ViewSpec]:
    """Describe the two full-size views that joint-embedding methods compare."""
    first, second = (ViewSpec(size, config.blur[i], config.solarize[i], config) for i in range(2))
    return first, second
