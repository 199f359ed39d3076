"""Every method on a tiny network, and helpers for their checks."""

from typing import Any

import torch
from torch import Tensor, nn

from trainers.config.resolve import resolve
from trainers.config.schema import Config
from trainers.methods import METHODS, Method, Progress
from trainers.methods.dino import DINO
from trainers.methods.ibot import IBOT
from trainers.models.backbones import Conv4, make_backbone

AT = Progress(step=3, epoch=1, fraction=0.25, seed=5)
FIRST_EPOCH = AT._replace(step=0, epoch=0, fraction=0.0)
SMALL: dict[str, dict[str, Any]] = {
    "byol": {"hidden": 16, "dim": 8},
    "dino": {"hidden": 16, "bottleneck": 8, "prototypes": 12, "local_crops": 2, "local_size": 1.0},
    "ibot": {"hidden": 16, "bottleneck": 8, "prototypes": 12, "local_crops": 2, "local_size": 1.0},
    "jigsaw": {"hidden": 8, "orders": 6, "piece": 1.0},
    "lejepa": {"hidden": 16, "dim": 8, "slices": 16},
    "mae": {"decoder_dim": 16, "decoder_depth": 1, "decoder_heads": 2},
    "moco-v1": {"dim": 8, "queue": 32},
    "moco-v2": {"dim": 8, "queue": 32},
    "moco-v3": {"hidden": 16, "dim": 8},
    "simclr": {"hidden": 16, "dim": 8},
    "simclr-v2": {"hidden": 16, "dim": 8},
}
WITH_TEACHER = ("byol", "dino", "moco-v1", "moco-v2", "moco-v3")


def config_of(name: str, **settings: Any) -> Config:
    return resolve(
        {"method": name, "image_size": 16, "precision": "32-true", "device": "cpu", name: SMALL[name]}, settings
    )


def make(name: str, cls: type[Method] | None = None, seed: int = 0, **own: Any) -> Any:
    """Make a method by name, or a subclass of it, on a tiny network with weights of `seed`."""
    torch.manual_seed(seed)
    config = config_of(name, **{name: own})
    method = METHODS[name]
    backbone = shallow_vit(16, patch=8) if method.needs_vit else Conv4(width=4)
    specs = method.make_views(config.augment, 16, config.settings)
    return (cls or method)(backbone, config.settings, specs).train()


def shallow_vit(image_size: int, patch: int) -> nn.Module:
    """The smallest ViT of timm, with two of its six blocks."""
    backbone: Any = make_backbone("test_vit", image_size, patch)[0]
    backbone.blocks = backbone.blocks[:2]
    return backbone  # type: ignore[no-any-return]


def batch(method: Method, count: int = 8, seed: int = 1) -> list[Tensor]:
    rng = torch.Generator().manual_seed(seed)
    return [torch.randn(count, 3, spec.size, spec.size, generator=rng) for spec in method.views]


def without_norm(method: Any) -> Any:
    """Take out BatchNorm, so that the output of an image does not depend on the others of its batch."""
    for module in list(method.modules()):
        for name, child in module.named_children():
            if isinstance(child, (nn.BatchNorm1d, nn.BatchNorm2d)):
                module.register_module(name, nn.Identity())
    return method


def close(a: Tensor, b: Tensor) -> None:
    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def apart(method: Any) -> Any:
    """Move the student away from its teacher, and the centre of DINO and iBOT from zero."""
    with torch.no_grad():
        for parameter in method.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
        if isinstance(method, (DINO, IBOT)):
            method.centre.normal_(std=0.1)
    return method
