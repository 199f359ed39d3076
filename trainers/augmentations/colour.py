"""Colour: jitter and grey as one affine map an image, blur, and solarization."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from trainers.augmentations.colour_space import GREY, HUE
from trainers.augmentations.draws import Draws
from trainers.augmentations.views import AugmentConfig


def colour_matrices(x: Tensor, config: AugmentConfig, draws: Draws) -> Tensor:
    """Draw colour jitter and grey as one affine map of RGB an image: (B, 3, 4).

    Brightness, contrast, saturation and hue are applied in a random order for each image, all of them or none. Contrast pulls
    towards the mean grey of the image as changed so far.
    """
    count, device = len(x), x.device
    eye = torch.eye(4, device=device)
    to_grey = torch.zeros(4, 4, device=device)
    to_grey[:3, :3], to_grey[3, 3] = draws.constants[GREY], 1
    mean = torch.cat([x.mean(dim=(2, 3)), torch.ones(count, 1, device=device)], dim=1)[:, :, None]  # (B, 4, 1)

    def around_one(strength: float) -> Tensor:
        return draws.uniform(max(0.0, 1 - strength), 1 + strength)[:, None, None]

    scale, saturation, contrast = (around_one(s) for s in (config.brightness, config.saturation, config.contrast))
    angle = (draws.uniform(-config.hue, config.hue) * (2 * math.pi))[:, None, None]
    fixed, along, across = draws.constants[HUE]
    hue = fixed + angle.cos() * along + angle.sin() * across
    operations = torch.stack([eye * scale, to_grey + saturation * (eye - to_grey), hue, eye * contrast], dim=1)
    operations[:, :, 3, 3] = 1
    order = draws.uniform(0, 1, 4).argsort(dim=0)  # (4, B)
    is_contrast = (order == 3)[:, :, None]
    pull = (1 - contrast[:, 0]) * is_contrast  # (4, B, 1): towards the mean grey

    total = eye.expand(count, 4, 4)
    for operation, towards in zip(operations[torch.arange(count, device=device), order], pull, strict=True):
        offset = towards * (to_grey @ (total @ mean))[:, :3, 0]
        total = operation @ total
        total[:, :3, 3] += offset
    total = torch.where(draws.chance(config.jitter)[:, None, None], total, eye)
    total = torch.where(draws.chance(config.grey)[:, None, None], to_grey @ total, total)
    return total[:, :3]


def apply_colour(x: Tensor, matrices: Tensor) -> Tensor:
    """Map the colours of each image by its own 3x4 matrix and clip to [0, 1]: float (B, 3, H, W)."""
    mixed = torch.baddbmm(matrices[:, :, 3:], matrices[:, :, :3], x.flatten(2))
    return mixed.view_as(x).clamp_(0, 1)


def blur_some(x: Tensor, chosen: Tensor, sigma: Tensor) -> Tensor:
    """Blur the chosen images, bool (B,), perhaps in place.

    A processor computes only those. A GPU blurs all of them, because it would have to wait to know which are chosen.
    """
    if x.device.type != "cpu":
        return torch.where(chosen[:, None, None, None], blur(x, sigma), x)
    if chosen.any():
        x[chosen] = blur(x[chosen], sigma[chosen])
    return x


def blur(x: Tensor, sigma: Tensor) -> Tensor:
    """Blur each image by a Gaussian of its own sigma, (B,), in pixels of these images: up to 2 at 224 px, in proportion at other sizes."""
    size = x.shape[-1]
    radius = max(1, round(2 * 2.0 * size / 224))
    offsets = torch.arange(-radius, radius + 1, device=x.device).float()
    kernel = torch.exp(-(offsets**2) / (2 * sigma[:, None] ** 2))
    kernel = (kernel / kernel.sum(dim=1, keepdim=True)).repeat_interleave(3, dim=0)  # (3B, taps)
    flat = F.pad(x.reshape(1, -1, size, size), [radius] * 4, mode="reflect")
    flat = F.conv2d(flat, kernel[:, None, :, None], groups=len(kernel))
    flat = F.conv2d(flat, kernel[:, None, None, :], groups=len(kernel))
    return flat.view_as(x)


def solarize_some(x: Tensor, chosen: Tensor) -> Tensor:
    """Invert the bright half of the values in the chosen images, bool (B,)."""
    return torch.where(chosen[:, None, None, None] & (x >= 0.5), 1 - x, x)
