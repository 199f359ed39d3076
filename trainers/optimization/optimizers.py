"""Optimisers: torch's and timm's, with one group of parameters that decay and one of parameters that do not."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from timm.optim.lars import Lars
from torch import nn

from trainers.settings import setting

# Used when the user gives another optimiser than the method's own: good rates (for a batch of 256) and decays differ widely.
USUAL: dict[str, dict[str, float | None]] = {
    "sgd": {"lr": 0.12, "weight_decay": 5e-4, "weight_decay_end": None},
    "adamw": {"lr": 1e-3, "weight_decay": 0.05, "weight_decay_end": None},
    "lars": {"lr": 0.3, "weight_decay": 1e-6, "weight_decay_end": None},
}
USUAL_RATES = {"sgd": (0.001, 2.0), "adamw": (1e-6, 0.01), "lars": (0.01, 10.0)}


@dataclass(frozen=True, slots=True)
class OptimizerConfig:
    """Settings of the optimiser."""

    name: Literal["sgd", "adamw", "lars"] = "sgd"
    lr: float = setting(0.12, above=0, most=100)  # peak, for a batch of 256; scaled linearly with the batch
    momentum: float = setting(0.9, least=0, below=1)  # of sgd and lars
    # Of adamw: momentum of the mean and of the mean square of the gradients
    betas: tuple[float, float] = setting((0.9, 0.999), least=0, below=1, later=True)
    weight_decay: float = setting(5e-4, least=0, below=1)  # on matrices and kernels only
    # Reached along half a cosine; None: the decay is constant
    weight_decay_end: float | None = setting(None, least=0, below=1)
    schedule: Literal["cosine", "steps"] = "cosine"  # of the learning rate after the warm-up
    # Share of the training over which the learning rate rises
    warmup: float = setting(0.05, least=0, below=1, unit="share of the training, not epochs")
    clip: float = setting(0.0, least=0)  # largest norm of a single tensor's gradient; 0: no clipping


def unusual_rate(config: OptimizerConfig) -> list[str]:
    """Say that a learning rate is far from those that the optimiser trains with; empty when it is not."""
    low, high = USUAL_RATES[config.name]
    if low <= config.lr <= high:
        return []
    what = "will probably diverge" if config.lr > high else "will hardly learn"
    return [
        f"optimizer.lr = {config.lr:g} is unusual for {config.name}, which trains with {low:g} to {high:g}: the training {what}"
    ]


def make_optimizer(module: nn.Module, config: OptimizerConfig) -> torch.optim.Optimizer:
    """Build the optimiser over all trainable parameters, in two groups.

    The second group has the biases and norms (one dimension or none): they never decay, and LARS does not adapt their rate.
    """
    trainable = [parameter for parameter in module.parameters() if parameter.requires_grad]
    groups: list[dict[str, Any]] = [
        {"params": [p for p in trainable if p.ndim > 1], "weight_decay": config.weight_decay},
        {"params": [p for p in trainable if p.ndim <= 1], "weight_decay": 0.0},
    ]
    match config.name:
        case "adamw":
            return torch.optim.AdamW(groups, lr=config.lr, betas=config.betas, fused=True)
        case "lars":
            groups[0]["always_adapt"] = True  # timm by default adapts only groups that decay
            return Lars(groups, lr=config.lr, momentum=config.momentum)
        case "sgd":
            optimizer = torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, fused=True)
            # Fused, it wants the momentum of all parameters or of none; DINO's last layer gets its first gradient later.
            optimizer.state.update((p, {"momentum_buffer": torch.zeros_like(p)}) for p in trainable if config.momentum)
            return optimizer


@torch.no_grad()
def clip_each(parameters: Iterable[nn.Parameter], most: float) -> None:
    """Scale every gradient with a norm above `most` down to it, each tensor by itself (DINO, official code)."""
    gradients = [p.grad for p in parameters if p.grad is not None]
    norms = torch._foreach_norm(gradients)
    torch._foreach_mul_(gradients, [(most / (norm + 1e-6)).clamp(max=1.0) for norm in norms])
