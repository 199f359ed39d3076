"""Optimisers: torch's own, with the parameters sorted into those that decay and those that do not."""

from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn


@dataclass(frozen=True, slots=True)
class OptimizerConfig:
    """Settings of the optimiser."""

    name: Literal["sgd", "adamw"] = "sgd"
    lr: float = 0.12  # peak, for a batch of 256; scaled linearly with the batch
    momentum: float = 0.9  # of sgd
    weight_decay: float = 5e-4  # on matrices and kernels only
    warmup: float = 0.05  # share of the training over which the learning rate rises


def make_optimizer(module: nn.Module, config: OptimizerConfig) -> torch.optim.Optimizer:
    """Build the optimiser over all trainable parameters; biases and norms (one dimension or none) never decay."""
    trainable = [parameter for parameter in module.parameters() if parameter.requires_grad]
    groups = [
        {"params": [p for p in trainable if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in trainable if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if config.name == "adamw":
        return torch.optim.AdamW(groups, lr=config.lr)
    return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum)
