"""Heads: the small networks between a backbone and a loss."""

from collections.abc import Sequence
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def mlp(widths: Sequence[int], norm: bool = True, bias: bool = True, last_bias: bool = True) -> nn.Sequential:
    """Build Linear-BatchNorm-ReLU blocks and a last Linear; `widths` runs from input to output, two give one Linear.

    `bias` is for the hidden layers, `last_bias` for the last one.
    """
    *hidden, last = pairwise(widths)
    layers: list[nn.Module] = []
    for before, after in hidden:
        layers += [
            nn.Linear(before, after, bias=bias),
            *([nn.BatchNorm1d(after)] if norm else []),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers, nn.Linear(*last, bias=last_bias))


def simclr_projection(dim: int, hidden: int, out: int, layers: int) -> nn.Sequential:
    """Build SimCLR's projection: no biases, and at the end a norm without shift (Chen et al. 2020, section 4.2; v2, section 2)."""
    last = nn.BatchNorm1d(out)
    last.bias.requires_grad_(False)
    return nn.Sequential(*mlp([dim] + [hidden] * (layers - 1) + [out], bias=False, last_bias=False), last)


def byol_mlp(dim: int, hidden: int, out: int) -> nn.Sequential:
    """Build BYOL's projection or prediction: the last layer has no bias, and no norm follows it (Grill et al. 2020, section 3.3)."""
    return mlp([dim, hidden, out], last_bias=False)


def moco_v3_mlp(widths: Sequence[int], last_norm: bool) -> nn.Sequential:
    """Build MoCo v3's projection or prediction: no biases; with `last_norm`, a norm without parameters at the end (its official code)."""
    layers = mlp(widths, bias=False, last_bias=False)
    return nn.Sequential(*layers, nn.BatchNorm1d(widths[-1], affine=False)) if last_norm else layers


class DINOHead(nn.Module):
    """Three layers, a unit-length bottleneck, and prototypes of unit length: (N, D) to logits (N, P).

    Caron et al. 2021 (DINO), appendix C. The paper's code calls prototypes of unit length a normalised last layer, and `norm`, BatchNorm
    in the hidden layers, use_bn_in_head.
    """

    def __init__(self, dim: int, hidden: int, bottleneck: int, prototypes: int, norm: bool = False) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for before in (dim, hidden):
            layers += [nn.Linear(before, hidden), *([nn.BatchNorm1d(hidden)] if norm else []), nn.GELU()]
        self.layers = nn.Sequential(*layers, nn.Linear(hidden, bottleneck))
        for layer in self.layers:
            if isinstance(layer, nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                nn.init.zeros_(layer.bias)
        # Initialised like a linear layer: the length of a row decides how far a step rotates it.
        self.prototypes = nn.Parameter(torch.empty(prototypes, bottleneck).uniform_(-1, 1) / bottleneck**0.5)

    def forward(self, x: Tensor, frozen: bool = False) -> Tensor:
        """Compute logits; `frozen` prototypes get no gradient at all, so that weight decay does not change them either."""
        return self.compare(self.layers(x), frozen)

    def compare(self, z: Tensor, frozen: bool = False) -> Tensor:
        """Compute the cosines of bottleneck vectors (N, bottleneck) and prototypes: (N, P)."""
        prototypes = self.prototypes.detach() if frozen else self.prototypes
        with torch.autocast(z.device.type, enabled=False):  # bfloat16 is too coarse for a temperature of 0.04
            return F.linear(F.normalize(z.float(), dim=1), F.normalize(prototypes, dim=1))
