"""Heads: the small networks between a backbone and a loss."""

from itertools import pairwise

from torch import nn


def simclr_projection(dim: int, hidden: int, out: int, layers: int = 2) -> nn.Sequential:
    """Build SimCLR's projection: Linear-BN-ReLU blocks, then Linear-BN whose BN has no shift (Chen et al. 2020, section 4.2)."""
    widths = [dim] + [hidden] * (layers - 1)
    blocks: list[nn.Module] = []
    for before, after in pairwise(widths):
        blocks += [nn.Linear(before, after, bias=False), nn.BatchNorm1d(after), nn.ReLU(inplace=True)]
    last = nn.BatchNorm1d(out)
    last.bias.requires_grad_(False)
    return nn.Sequential(*blocks, nn.Linear(widths[-1], out, bias=False), last)


def byol_mlp(dim: int, hidden: int, out: int) -> nn.Sequential:
    """Build BYOL's projection or prediction: Linear-BN-ReLU-Linear, nothing after the last (Grill et al. 2020, section 3.3)."""
    return nn.Sequential(
        nn.Linear(dim, hidden), nn.BatchNorm1d(hidden), nn.ReLU(inplace=True), nn.Linear(hidden, out, bias=False)
    )
