"""From images to views: the whole batch at once, on its device, with random numbers of its own for every image.

The distributions are those of the per-image transforms that the papers describe (SimCLR, appendix A; BYOL, appendix B).
"""

from collections.abc import Callable

import torch
from torch import Generator, Tensor

from featurestore.imaging.preprocess import IMAGENET_MEAN, IMAGENET_STD
from trainers.augmentations.colour import apply_colour, blur_some, colour_matrices, solarize_some
from trainers.augmentations.draws import Draws, constant, draw
from trainers.augmentations.geometry import crop_boxes, resample
from trainers.augmentations.views import ViewSpec

Channels = tuple[float, float, float]
CACHED = 2**21  # numbers of a view that a processor makes at a time: more do not stay in its caches


def transform(images: Tensor, spec: ViewSpec, draws: Draws) -> Tensor:
    """Augment with numbers drawn before, so that it can be compiled: uint8 (B, 3, h, w) to float (B, 3, size, size) in [0, 1]."""
    config = spec.augment
    x = resample(images.float().div_(255), crop_boxes(config, draws), spec.size, rotated=config.rotate != 0)
    x = apply_colour(x, colour_matrices(x, config, draws))
    if spec.blur > 0:
        x = blur_some(x, draws.chance(spec.blur), draws.uniform(0.1, 2.0) * spec.size / 224)
    if spec.solarize > 0:
        x = solarize_some(x, draws.chance(spec.solarize))
    return x


def augment(
    images: Tensor,
    spec: ViewSpec,
    rng: Generator,
    make: Callable[[Tensor, ViewSpec, Draws], Tensor] = transform,
    cached: int = CACHED,
) -> Tensor:
    """Make one view of each image as networks expect it: uint8 (B, 3, h, w) to normalised float32 (B, 3, size, size), channels last.

    A processor makes it in pieces of `cached` numbers. `make` is `transform`, or the same function compiled.
    """
    return _augment(images, spec, draw(len(images), rng), make, cached)


def augment_alike(images: Tensor, spec: ViewSpec, rng: Generator) -> Tensor:
    """Make the same view of all images, as `augment`: one crop, one flip and one change of colour, drawn on the device of `rng`."""
    numbers = draw(1, rng).to(images.device).expand(-1, len(images))
    return _augment(images, spec, numbers, transform, CACHED)


def _augment(
    images: Tensor, spec: ViewSpec, numbers: Tensor, make: Callable[[Tensor, ViewSpec, Draws], Tensor], cached: int
) -> Tensor:
    """Make one view of each image with numbers that are drawn: (DRAWS, B)."""
    count = max(1, cached // (3 * spec.size**2)) if images.device.type == "cpu" else len(images)
    pieces = zip(torch.split(images, count), torch.split(numbers, count, dim=1), strict=True)
    views = [normalise(make(piece, spec, Draws(numbers)), spec.mean, spec.std) for piece, numbers in pieces]
    return views[0] if len(views) == 1 else torch.cat(views)


def normalise(x: Tensor, mean: Channels = IMAGENET_MEAN, std: Channels = IMAGENET_STD) -> Tensor:
    """Centre and scale the channels as the network expects: float (B, 3, H, W) in [0, 1], to channels last."""
    shift, scale = (constant(values, x.device).view(3, 1, 1) for values in (mean, std))
    return (x - shift).div_(scale).contiguous(memory_format=torch.channels_last)
