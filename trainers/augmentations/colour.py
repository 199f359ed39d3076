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

    Brightness, contrast, saturation and hue are applied all or none, and clipped once at the end. Their order makes no difference then:
    brightness and contrast scale luma and colour alike, saturation and hue change colour alone, and contrast keeps the mean grey in place.
    """

    def around_one(strength: float) -> Tensor:
        return draws.uniform(max(0.0, 1 - strength), 1 + strength)[:, None, None]

    brightness, saturation, contrast = (around_one(s) for s in (config.brightness, config.saturation, config.contrast))
    angle = (draws.uniform(-config.hue, config.hue) * (2 * math.pi))[:, None, None]
    draws.skip(4)  # for an order of the four, once: a resumed training sees the views of earlier versions
    to_grey = draws.constants[GREY].expand(3, 3)
    along, across = draws.constants[HUE]  # together they turn what is not grey
    linear = brightness * contrast * (to_grey + saturation * (angle.cos() * along + angle.sin() * across))
    shift = brightness * (1 - contrast) * (to_grey @ x.mean(dim=(2, 3))[:, :, None])
    eye = torch.eye(3, 4, device=x.device)
    total = torch.where(draws.chance(config.jitter)[:, None, None], torch.cat([linear, shift], dim=2), eye)
    return torch.where(draws.chance(config.grey)[:, None, None], to_grey @ total, total)


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
    radius = max(
        1, math.ceil(3 * 2.0 * size / 224)
    )  # three of the largest sigma: a shorter kernel blurs less than it says
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
