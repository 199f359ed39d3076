"""Views of images: random crops, flips and colours, computed for a whole batch on its device.

In come uint8 images, a description of the view (`ViewSpec`) and a seeded generator. Out come normalised float images, as a
network expects them.
"""

from trainers.augmentations.pipeline import Channels, augment, augment_alike, normalise, transform
from trainers.augmentations.views import ASYMMETRIC, AugmentConfig, ViewSpec, two_views

__all__ = [
    "ASYMMETRIC",
    "AugmentConfig",
    "Channels",
    "ViewSpec",
    "augment",
    "augment_alike",
    "normalise",
    "transform",
    "two_views",
]
