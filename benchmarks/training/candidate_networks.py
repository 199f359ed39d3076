"""Small networks for small images, plain and residual, that `benchmarks.training.networks` compares."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from trainers.models.backbones import Conv4


def convolution(before: int, after: int, kernel: int = 3, stride: int = 1, relu: bool = True) -> nn.Sequential:
    """A convolution without bias, batch norm, and a ReLU unless `relu` is false."""
    padding = (kernel - 1) // 2
    layers: list[nn.Module] = [nn.Conv2d(before, after, kernel, stride, padding, bias=False), nn.BatchNorm2d(after)]
    return nn.Sequential(*layers, *([nn.ReLU(inplace=True)] if relu else []))


class Residual(nn.Module):
    """Two 3x3 convolutions with a shortcut that downsamples by average pooling (ResNet-D; He et al. 2019)."""

    def __init__(self, before: int, after: int, stride: int) -> None:
        super().__init__()
        last = convolution(after, after, relu=False)
        nn.init.zeros_(last.get_parameter("1.weight"))
        self.branch = nn.Sequential(convolution(before, after, stride=stride), last)
        shortcut: list[nn.Module] = [nn.AvgPool2d(2)] if stride == 2 else []
        if before != after:
            shortcut.append(convolution(before, after, kernel=1, relu=False))
        self.shortcut = nn.Sequential(*shortcut)

    def forward(self, x: Tensor) -> Tensor:
        return torch.relu(self.branch(x) + self.shortcut(x))


class GlobalMean(nn.Module):
    """Layers and global average pooling: (B, 3, H, W) to (B, num_features)."""

    def __init__(self, layers: Sequence[nn.Module], num_features: int) -> None:
        super().__init__()
        self.layers, self.num_features = nn.Sequential(*layers), num_features

    def forward(self, x: Tensor) -> Tensor:
        features: Tensor = self.layers(x)
        return features.mean(dim=(2, 3))


def plain(stem: int, widths: Sequence[int], depths: Sequence[int]) -> GlobalMean:
    """A stem of stride 2, then convolutions and pooling; the last convolution has no ReLU, as in Conv4."""
    layers, channels = [convolution(3, stem, kernel=4, stride=2)], stem
    for width, depth in zip(widths, depths, strict=True):
        for _ in range(depth):
            layers.append(convolution(channels, width))
            channels = width
        layers.append(nn.Sequential(nn.MaxPool2d(2)))
    layers.pop()
    layers[-1] = layers[-1][:-1]
    return GlobalMean(layers, channels)


def residual(
    stem: int, widths: Sequence[int], depths: Sequence[int], pooled: bool = False, first: int = 2
) -> GlobalMean:
    """A stem that halves the image by its stride or by pooling, then stages of residual blocks of stride 2 (the first of stride `first`)."""
    stem_layers = [convolution(3, stem), nn.MaxPool2d(2)] if pooled else [convolution(3, stem, kernel=4, stride=2)]
    layers: list[nn.Module] = list(stem_layers)
    channels = stem
    for stage, (width, depth) in enumerate(zip(widths, depths, strict=True)):
        for block in range(depth):
            stride = 1 if block else first if stage == 0 else 2
            layers.append(Residual(channels, width, stride))
            channels = width
    return GlobalMean(layers, channels)


NETWORKS: dict[str, Callable[[], nn.Module]] = {
    "conv4": Conv4,
    "conv4, 48 wide": lambda: Conv4(48),
    "plain 32, 64-128-256": lambda: plain(32, (64, 128, 256), (1, 1, 1)),
    "plain 48, 96-192-384": lambda: plain(48, (96, 192, 384), (1, 1, 1)),
    "plain 32, 64-128-256, depths 1-2-2": lambda: plain(32, (64, 128, 256), (1, 2, 2)),
    "plain 32, 64-128-256, depths 2-2-2": lambda: plain(32, (64, 128, 256), (2, 2, 2)),
    "residual 32, 64-128-256": lambda: residual(32, (64, 128, 256), (1, 1, 1)),
    "residual 32, 64-128-256, depths 1-2-2": lambda: residual(32, (64, 128, 256), (1, 2, 2)),
    "residual 32, 32-64-128-256": lambda: residual(32, (32, 64, 128, 256), (1, 1, 1, 1), first=1),
    "residual 48, 96-192-384": lambda: residual(48, (96, 192, 384), (1, 1, 1)),
    "residual 64, 128-256": lambda: residual(64, (128, 256), (1, 1)),
    "residual 64, 128-256-512": lambda: residual(64, (128, 256, 512), (1, 1, 1)),
    "residual 32 pooled, 64-128-256": lambda: residual(32, (64, 128, 256), (1, 1, 1), pooled=True),
    "residual 32 pooled, 64-128-256, depths 1-2-2": lambda: residual(32, (64, 128, 256), (1, 2, 2), pooled=True),
    "residual 32 pooled, 64-128-512": lambda: residual(32, (64, 128, 512), (1, 1, 1), pooled=True),
    "residual 48 pooled, 96-192-384": lambda: residual(48, (96, 192, 384), (1, 1, 1), pooled=True),
}
