"""Backbones: timm's by name, fitted to the image size, and one small network of our own for small images."""

from itertools import pairwise

import timm
import torch
from torch import Tensor, nn

from featurestore.errors import ConfigError

CIFAR_STEM_UP_TO = 64  # pixels; He et al. 2016, section 4.2, use a 3x3 stride-1 stem without pooling on 32 px images


class Conv4(nn.Module):
    """Four times a 3x3 convolution and a halving of the picture, then the mean over positions: (B, 3, H, W) to (B, 8 * width).

    The classic small network of few-shot learning (Vinyals et al. 2016, section 4.1), with channels doubling with depth. At
    16 px its last map is one pixel, so that layout is kept. Nothing cuts off the negative half of the last map: vectors
    centred at zero use the whole sphere.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        channels = [3, width, 2 * width, 4 * width, 8 * width]
        self.num_features = channels[-1]
        layers: list[nn.Module] = []
        for before, after in pairwise(channels):
            layers += [nn.Conv2d(before, after, 3, padding=1, bias=False), nn.BatchNorm2d(after), nn.ReLU(inplace=True)]
            layers += [nn.MaxPool2d(2)]
        del layers[-2]  # the last ReLU
        self.layers = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.layers(x)
        return features.mean(dim=(2, 3))


OWN = {"conv4": Conv4}
CONV4_SMALLEST = 16  # pixels; four halvings must leave one


def make_backbone(name: str, image_size: int) -> tuple[nn.Module, list[str]]:
    """Build a backbone without weights; returns it with what was adapted, in words for the log.

    Its `num_features` is the dimension D of its output (B, D). Raises ConfigError for a name that neither timm nor this
    file knows and for an image size the backbone cannot take.
    """
    notes: list[str] = []
    if name in OWN:
        if image_size < CONV4_SMALLEST:
            raise ConfigError(
                f"image size {image_size}: {name} needs at least {CONV4_SMALLEST} pixels; choose a larger --image-size"
            )
        return OWN[name](), notes
    if not timm.is_model(name):
        near = timm.list_models(f"*{name[:6]}*")[:5]
        raise ConfigError(
            f"backbone {name!r}: expected one of {sorted(OWN)} or a name that timm knows, such as {near or ['resnet18']}"
        )
    try:
        backbone = timm.create_model(name, pretrained=False, num_classes=0)
        if image_size <= CIFAR_STEM_UP_TO and isinstance(backbone, timm.models.resnet.ResNet):
            channels = backbone.get_parameter("layer1.0.conv1.weight").shape[1]
            backbone.register_module("conv1", nn.Conv2d(3, channels, 3, padding=1, bias=False))
            backbone.register_module("maxpool", nn.Identity())
            notes.append(
                f"CIFAR stem: 3x3 first convolution with stride 1, no max-pool, because images are {image_size} px (<= {CIFAR_STEM_UP_TO})"
            )
        _try_size(backbone, image_size)
    except ConfigError:
        raise
    except Exception as error:
        raise ConfigError(
            f"backbone {name!r} cannot take images of {image_size} px: {error}; choose another --image-size"
        ) from error
    return backbone, notes


@torch.no_grad()
def _try_size(backbone: nn.Module, image_size: int) -> None:
    backbone.eval()
    backbone(torch.zeros(1, 3, image_size, image_size))
    backbone.train()


def feature_dim(backbone: nn.Module) -> int:
    """D, the length of a backbone's output."""
    return int(str(backbone.num_features))
