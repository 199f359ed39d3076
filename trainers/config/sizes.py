"""Sizes by the images, for a training without a number of minutes."""

import statistics
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from featurestore.errors import ImageError
from featurestore.imaging.single import size_of
from featurestore.sources import ImageFile
from trainers.config.resolve import method_of
from trainers.methods import METHODS

SAMPLE = 32  # images whose size is read
VIEWS = {
    32: 32,
    64: 48,
    128: 96,
    224: 168,
}  # side of the views by that of the images: smaller ones are faster and as good (FixRes)
PROCESSOR = 64  # pixels that a processor trains at, unless a network is asked for: larger images take days


def by_images(files: Sequence[ImageFile], given: Mapping[str, Any], device: str) -> dict[str, int]:
    """Choose the size of images and views for a training without minutes: the largest that does not enlarge the images at hand.

    Empty where the size is given, or comes with the weights to start from.
    """
    if given.get("minutes") or given.get("recipe", "auto") != "auto" or given.get("image_size") or given.get("init"):
        return {}
    method, backbone = METHODS[method_of(given)], given.get("backbone")
    largest = usual_side(files)
    if device == "cpu" and not backbone:
        largest = min(largest, PROCESSOR)
    size = max((side for side in VIEWS if side <= largest), default=min(VIEWS))
    # A network that was asked for, and a ViT, may not take all sizes.
    keeps = given.get("view_size") or given.get("patch_size") or backbone or method.needs_vit
    return {"image_size": size} if keeps else {"image_size": size, "view_size": VIEWS[size]}


def usual_side(files: Sequence[ImageFile]) -> int:
    """Give the shorter side of a collection's images in pixels: the median of a sample, 0 where none can be read."""
    sides = []
    for file in files[:: max(1, len(files) // SAMPLE)]:
        with suppress(ImageError):  # the training reports what it cannot read
            sides.append(min(size_of(file)))
    return int(statistics.median(sides)) if sides else 0
