"""Geometry: random resized crop, flip and rotation as one sampling pass."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from trainers.augmentations.draws import TRIES, Draws
from trainers.augmentations.views import AugmentConfig


def crop_boxes(config: AugmentConfig, draws: Draws) -> Tensor:
    """Draw random resized crops with flip and rotation as affine maps from view to image coordinates: (B, 2, 3).

    Coordinates run from -1 to 1 across the image. Area is uniform in [crop_min, crop_max] of the image, the aspect ratio is
    log-uniform. Of TRIES crops the first that fits into the image is used; when none fits, the first is cut to the image.
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


def resample(images: Tensor, boxes: Tensor, size: int, rotated: bool = True) -> Tensor:
    """Cut the boxes out of the images, bilinear, mirrored at the border: float (B, 3, size, size).

    Boxes that are not rotated reach at most half a pixel beyond the image, where a mirror shows the outermost pixels again:
    padding with these is the same and faster.
    """
    centres = (2 * torch.arange(size, device=images.device) + 1) / size - 1  # of the view's pixels
    across = boxes[:, :, :1] * centres  # (B, 2, size): where a column of the view lies
    down = boxes[:, :, 1:2] * centres + boxes[:, :, 2:]
    grid = (across[:, :, None] + down[:, :, :, None]).permute(0, 2, 3, 1)  # far faster than F.affine_grid
    padding = "reflection" if rotated else "border"
    return F.grid_sample(images, grid, mode="bilinear", padding_mode=padding, align_corners=False)
