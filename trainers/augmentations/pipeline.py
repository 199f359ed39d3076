"""Views: augmentation of a whole batch at once, on its device, with draws of its own for every image.

The distributions are those of the per-image transforms that the papers describe (SimCLR, appendix A; BYOL, appendix B):
random resized crop, flip and rotation are one sampling pass; the colour operations are one 3x4 matrix an image.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from featurestore.imaging.preprocess import IMAGENET_MEAN, IMAGENET_STD

GREY = (0.299, 0.587, 0.114)  # ITU-R BT.601 luma, as Pillow and torchvision weigh it
# Rows turn RGB into YIQ; hue is the angle in the IQ plane.
YIQ = ((0.299, 0.587, 0.114), (0.596, -0.274, -0.322), (0.211, -0.523, 0.312))


def _hue_basis() -> tuple[Any, ...]:
    """Three 4x4 matrices F, C and S, so that F + C cos a + S sin a acts on (R, G, B, 1) and turns the hue by a."""
    fixed, along, across = (
        np.diag([1.0, 0, 0]),
        np.diag([0, 1.0, 1.0]),
        np.array([[0, 0, 0], [0, 0, -1.0], [0, 1.0, 0]]),
    )
    basis = np.zeros((3, 4, 4))
    basis[:, :3, :3] = [np.linalg.inv(YIQ) @ turn @ YIQ for turn in (fixed, along, across)]
    basis[0, 3, 3] = 1
    return tuple(tuple(map(tuple, matrix.tolist())) for matrix in basis)


HUE = _hue_basis()

TRIES = 10  # as torchvision's RandomResizedCrop
DRAWS = 2 * TRIES + 17  # numbers that a view takes for each image, at most
PIECE = 2**21  # numbers of a view that a processor makes at a time: more do not stay in its caches


@dataclass(frozen=True, slots=True)
class AugmentConfig:
    """Settings of the augmentation; `blur` and `solarize` have one probability for each view."""

    crop_min: float = 0.2  # least share of the picture's area that a view shows
    crop_max: float = 1.0
    aspect: float = 4 / 3  # the crop's aspect lies between 1 / aspect and aspect
    flip: float = 0.5  # probability of a mirror image; 0 where left and right matter
    rotate: float = 0.0  # degrees, drawn from [-rotate, rotate]
    jitter: float = 0.8  # probability of the colour jitter below
    brightness: float = 0.4
    contrast: float = 0.4
    saturation: float = 0.4
    hue: float = 0.1  # share of the full circle
    grey: float = 0.2  # probability of a grey picture
    blur: tuple[float, float] = (0.5, 0.5)
    solarize: tuple[float, float] = (0.0, 0.0)


@dataclass(frozen=True, slots=True)
class ViewSpec:
    """One view that a method asks for."""

    size: int  # pixels
    blur: float  # probability
    solarize: float  # probability
    augment: AugmentConfig


def two_views(config: AugmentConfig, size: int) -> tuple[ViewSpec, ViewSpec]:
    """Describe the two full-size views that joint-embedding methods compare."""
    first, second = (ViewSpec(size, config.blur[i], config.solarize[i], config) for i in range(2))
    return first, second


def draw(count: int, rng: Generator) -> Tensor:
    """Draw all numbers that a view of so many images may take: (DRAWS, count), on the device of `rng`."""
    return torch.rand(DRAWS, count, generator=rng, device=rng.device)


class Draws:
    """Numbers that were drawn for a batch, (DRAWS, B): every call takes the next ones, a number for each image.

    It also holds the constants of the augmentation on the same device: a compiled function cannot fetch them.
    """

    def __init__(self, numbers: Tensor) -> None:
        self.count = numbers.shape[1]
        self.constants = {values: constant(values, numbers.device) for values in (GREY, HUE)}
        self._numbers, self._taken = numbers, 0

    def uniform(self, low: float, high: float, times: int = 1) -> Tensor:
        """Take numbers from [low, high): float32 (count,), or (times, count) where several are asked for."""
        return self._take(times).mul(high - low).add_(low)

    def chance(self, probability: float) -> Tensor:
        """Take decisions: bool (count,)."""
        return self._take(1).lt(probability)

    def _take(self, times: int) -> Tensor:
        taken = self._numbers[self._taken : self._taken + times]
        self._taken += times
        return taken[0] if times == 1 else taken


def transform(images: Tensor, spec: ViewSpec, draws: Draws) -> Tensor:
    """Augment with numbers drawn before: nothing in it is random, so that it can be compiled."""
    config = spec.augment
    x = resample(images.float().div_(255), crop_boxes(config, draws), spec.size, turned=config.rotate != 0)
    x = apply_colour(x, colour_matrices(x, config, draws))
    if spec.blur > 0:
        x = blur_some(x, draws.chance(spec.blur), draws.uniform(0.1, 2.0) * spec.size / 224)
    if spec.solarize > 0:
        x = torch.where(draws.chance(spec.solarize)[:, None, None, None] & (x >= 0.5), 1 - x, x)
    return x


def augment(
    images: Tensor,
    spec: ViewSpec,
    rng: Generator,
    make: Callable[[Tensor, ViewSpec, Draws], Tensor] = transform,
) -> Tensor:
    """Make one view of each image as networks are fed: uint8 (B, 3, h, w) to normalised float32 (B, 3, size, size), channels last.

    On a processor it goes by pieces that stay in its caches. `make` is `transform`, or the same compiled.
    """
    count = max(1, PIECE // (3 * spec.size**2)) if images.device.type == "cpu" else len(images)
    parts = zip(torch.split(images, count), torch.split(draw(len(images), rng), count, dim=1), strict=True)
    views = [normalise(make(part, spec, Draws(numbers))) for part, numbers in parts]
    return views[0] if len(views) == 1 else torch.cat(views)


def normalise(x: Tensor) -> Tensor:
    """Centre and scale the channels as every network here is fed: float (B, 3, H, W) in [0, 1], to channels last."""
    mean, std = (constant(values, x.device).view(3, 1, 1) for values in (IMAGENET_MEAN, IMAGENET_STD))
    return (x - mean).div_(std).contiguous(memory_format=torch.channels_last)


@cache
def constant(values: tuple[Any, ...], device: torch.device) -> Tensor:
    """Give numbers as a tensor on a device, moved there once: each move makes the processor wait for the device."""
    return torch.tensor(values, dtype=torch.float32, device=device)


def crop_boxes(config: AugmentConfig, draws: Draws) -> Tensor:
    """Draw random resized crops with flip and rotation as affine maps from view to image coordinates: (B, 2, 3).

    Coordinates run from -1 to 1 across the image. Area is uniform in [crop_min, crop_max] of the image, the aspect is
    log-uniform; a crop that would stick out is drawn anew, at most TRIES times, and then cut to the image.
    """
    area = draws.uniform(config.crop_min, config.crop_max, TRIES)  # (TRIES, B)
    log = math.log(config.aspect)
    aspect = draws.uniform(-log, log, TRIES).exp_()
    sides = torch.stack([(area * aspect).sqrt(), (area / aspect).sqrt()])  # width, height
    fits = (sides <= 1).all(dim=0)
    first = fits.int().argmax(dim=0)  # 0 when none fits
    width, height = sides.gather(1, first.expand(2, 1, -1))[:, 0].clamp(max=1)
    centre_x = (1 - width) * draws.uniform(-1, 1)
    centre_y = (1 - height) * draws.uniform(-1, 1)
    angle = draws.uniform(-math.radians(config.rotate), math.radians(config.rotate))
    mirror = 1 - 2 * draws.chance(config.flip).float()
    cos, sin = angle.cos(), angle.sin()
    row_x = torch.stack([mirror * width * cos, -height * sin, centre_x], dim=1)
    row_y = torch.stack([mirror * width * sin, height * cos, centre_y], dim=1)
    return torch.stack([row_x, row_y], dim=1)


def resample(images: Tensor, boxes: Tensor, size: int, turned: bool = True) -> Tensor:
    """Cut the boxes out of the images, bilinear, mirrored at the border: float (B, 3, size, size).

    Boxes that are not turned reach beyond the outermost pixels by half of one at most, where a mirror shows these same pixels.
    """
    centres = (2 * torch.arange(size, device=images.device) + 1) / size - 1  # of the view's pixels
    across = boxes[:, :, :1] * centres  # (B, 2, size): where a column of the view lies
    down = boxes[:, :, 1:2] * centres + boxes[:, :, 2:]
    grid = (across[:, :, None] + down[:, :, :, None]).permute(0, 2, 3, 1)  # far faster than F.affine_grid
    padding = "reflection" if turned else "border"
    return F.grid_sample(images, grid, mode="bilinear", padding_mode=padding, align_corners=False)


def colour_matrices(x: Tensor, config: AugmentConfig, draws: Draws) -> Tensor:
    """Draw colour jitter and grey as one affine map of RGB an image: (B, 3, 4).

    Brightness, contrast, saturation and hue come in a random order for each image, all of them or none. Contrast pulls
    towards the mean grey of the picture as changed so far.
    """
    count, device = len(x), x.device
    eye = torch.eye(4, device=device)
    to_grey = torch.zeros(4, 4, device=device)
    to_grey[:3, :3], to_grey[3, 3] = draws.constants[GREY], 1
    mean = torch.cat([x.mean(dim=(2, 3)), torch.ones(count, 1, device=device)], dim=1)[:, :, None]  # (B, 4, 1)

    def around_one(strength: float) -> Tensor:
        return draws.uniform(max(0.0, 1 - strength), 1 + strength)[:, None, None]

    scale, saturation, contrast = (around_one(s) for s in (config.brightness, config.saturation, config.contrast))
    turn = (draws.uniform(-config.hue, config.hue) * (2 * math.pi))[:, None, None]
    fixed, along, across = draws.constants[HUE]
    hue = fixed + turn.cos() * along + turn.sin() * across
    operations = torch.stack([eye * scale, to_grey + saturation * (eye - to_grey), hue, eye * contrast], dim=1)
    operations[:, :, 3, 3] = 1
    order = draws.uniform(0, 1, 4).argsort(dim=0)  # (4, B)
    its_turn = (order == 3)[:, :, None]
    pull = (1 - contrast[:, 0]) * its_turn  # (4, B, 1): towards the mean grey

    total = eye.expand(count, 4, 4)
    for turned, towards in zip(operations[torch.arange(count, device=device), order], pull, strict=True):
        offset = towards * (to_grey @ (total @ mean))[:, :3, 0]
        total = turned @ total
        total[:, :3, 3] += offset
    total = torch.where(draws.chance(config.jitter)[:, None, None], total, eye)
    total = torch.where(draws.chance(config.grey)[:, None, None], to_grey @ total, total)
    return total[:, :3]


def apply_colour(x: Tensor, matrices: Tensor) -> Tensor:
    """Map the colours of each image by its own 3x4 matrix and cut to [0, 1]: float (B, 3, H, W)."""
    mixed = torch.baddbmm(matrices[:, :, 3:], matrices[:, :, :3], x.flatten(2))
    return mixed.view_as(x).clamp_(0, 1)


def blur_some(x: Tensor, chosen: Tensor, sigma: Tensor) -> Tensor:
    """Blur the chosen images, bool (B,), perhaps in place: a processor leaves the others alone; a GPU would wait to know which they are."""
    if x.device.type != "cpu":
        return torch.where(chosen[:, None, None, None], blur(x, sigma), x)
    if chosen.any():
        x[chosen] = blur(x[chosen], sigma[chosen])
    return x


def blur(x: Tensor, sigma: Tensor) -> Tensor:
    """Blur each image by a Gaussian of its own sigma, (B,), in pixels of these images: up to 2 at 224 px and in proportion at other sizes."""
    size = x.shape[-1]
    radius = max(1, round(2 * 2.0 * size / 224))
    offsets = torch.arange(-radius, radius + 1, device=x.device).float()
    kernel = torch.exp(-(offsets**2) / (2 * sigma[:, None] ** 2))
    kernel = (kernel / kernel.sum(dim=1, keepdim=True)).repeat_interleave(3, dim=0)  # (3B, taps)
    flat = F.pad(x.reshape(1, -1, size, size), [radius] * 4, mode="reflect")
    flat = F.conv2d(flat, kernel[:, None, :, None], groups=len(kernel))
    flat = F.conv2d(flat, kernel[:, None, None, :], groups=len(kernel))
    return flat.view_as(x)
