"""Every method learns on drawn patterns, and a broken copy of it collapses and is reported."""

import dataclasses
import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from torch import nn

import trainers.methods.mae
import trainers.methods.moco
import trainers.methods.moco_v3
import trainers.methods.simclr
from featurestore.progress import Listener
from tests.trainers.methods import shapes
from trainers.config.resolve import resolve
from trainers.config.schema import Config
from trainers.data.images import Images
from trainers.losses import negative_cosine
from trainers.methods import METHODS, Method
from trainers.models import backbones
from trainers.models.backbones import Conv4, patch_tokens
from trainers.training import loop
from trainers.training.collapse import collapse
from trainers.training.features import features
from trainers.training.setup import assemble, build

BATCH = 85
SEED = 1  # of five the one with the widest margins: another machine's rounding decides nothing
VIEWS = {"crop_min": 0.7, "brightness": 0.6, "contrast": 0.6, "saturation": 0.6, "hue": 0.3}
SMALL: dict[str, dict[str, Any]] = {
    "byol": {"hidden": 128, "dim": 64, "momentum": 0.9},
    "dino": {"hidden": 128, "bottleneck": 32, "prototypes": 64, "momentum": 0.9, "local_crops": 0},
    "ibot": {"hidden": 128, "bottleneck": 32, "prototypes": 64, "momentum": 0.97, "local_crops": 0},
    "jigsaw": {"hidden": 64, "piece": 1.0, "orders": 4},
    "lejepa": {"hidden": 128, "dim": 32, "slices": 64},
    "mae": {"decoder_dim": 32, "decoder_depth": 1, "decoder_heads": 2},
    "moco-v1": {"queue": 170, "dim": 64, "momentum": 0.9, "groups": 1},
    "moco-v2": {"queue": 170, "dim": 64, "momentum": 0.9, "groups": 1, "temperature": 0.07},
    "moco-v3": {"hidden": 128, "dim": 64, "momentum": 0.9},
    "simclr": {"hidden": 128, "dim": 64, "temperature": 0.3},
    "simclr-v2": {"hidden": 128, "dim": 64, "temperature": 0.3},
}
FAST = {"lejepa": 5e-4, "mae": 3e-3, "simclr": 3e-3, "simclr-v2": 3e-3}  # learning rates; the others take 1e-3


@pytest.fixture(autouse=True)
def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """A quarter of the work, which the patterns do not need."""
    monkeypatch.setitem(backbones.OWN, "conv4", partial(Conv4, 16))
    torch.manual_seed(SEED)


def config_of(name: str, epochs: int, lr: float) -> Config:
    """Three steps an epoch. ibot and mae need a ViT; mae's steps, on a quarter of one view's patches, are the cheapest by far."""
    network = {"backbone": "test_vit", "patch_size": 4} if METHODS[name].needs_vit else {"backbone": "conv4"}
    optimizer = {"name": "adamw", "lr": lr, "warmup": 0.1, "schedule": "cosine", "clip": 0.0}
    return resolve({
        "method": name, **network, "seed": SEED, "image_size": 16, "batch_size": BATCH, "epochs": epochs, "device": "cpu",
        "precision": "32-true", "optimizer": optimizer, "augment": VIEWS, name: SMALL[name],
    })  # fmt: skip


def train(method: Method, config: Config, folder: Path) -> dict[str, Any]:
    """Train on 256 patterns through the loop itself; returns the figures of the last epoch."""
    pixels, _ = shapes.patterns(64, seed=0)
    fabric = Fabric(accelerator="cpu", devices=1)
    fabric.launch()
    setup = assemble(config, fabric, method, Images(pixels, (), (), ""), Listener())
    loop.fit(setup, folder, lambda backbone: {}, None, {})
    figures: dict[str, Any] = json.loads((folder / "metrics.jsonl").read_text().splitlines()[-1])
    return figures


def knn(backbone: nn.Module) -> float:
    """Classify 240 other patterns by the majority of their 20 nearest neighbours; returns the accuracy."""
    (bank, labels), (queries, truth) = shapes.patterns(64, seed=0), shapes.patterns(60, seed=1)
    x, y = (torch.from_numpy(features(backbone, pixels)) for pixels in (bank, queries))
    named = labels[(y @ x.T).topk(20).indices].mode(dim=1).values
    return float(np.mean(named.numpy() == truth.numpy()))


# A contrastive method, one with a teacher, one with prototypes; the others in `make test-all`.
QUICK = ("simclr", "byol", "dino")
SOME = [pytest.param(name, marks=[pytest.mark.slow] * (name not in QUICK)) for name in sorted(METHODS)]


@pytest.mark.parametrize("name", SOME)
def test_thirty_steps_end_above_the_untrained_network_without_a_collapse(name: str, tmp_path: Path) -> None:
    """ViTs take more steps: mae four seconds, ibot twenty."""
    config = config_of(name, {"mae": 40, "ibot": 60}.get(name, 10), FAST.get(name, 1e-3))
    method = build(config)
    before = knn(method.export_backbone)
    figures = train(method, config, tmp_path)
    assert collapse(figures, method.uniform_loss, method.cures) is None
    after = knn(method.export_backbone)
    assert after > before + 0.05, (before, after)


Patch = pytest.MonkeyPatch


def contrast_without_negatives(method: Any, patch: Patch) -> None:
    """Also without the norms at the ends of the heads, which would hide the collapse."""
    for place in (trainers.methods.moco, trainers.methods.moco_v3, trainers.methods.simclr):
        for loss in {"nt_xent", "info_nce_queue", "info_nce_batch"} & vars(place).keys():
            patch.setattr(place, loss, lambda queries, keys, *rest: negative_cosine(queries, keys))
    method.predictor = nn.Identity()
    heads = [method.projection] if hasattr(method, "projection") else [method.online[1], method.teacher[1]]
    for head in heads:
        if isinstance(head, nn.Sequential) and isinstance(head[-1], nn.BatchNorm1d):
            head[-1] = nn.Identity()


def byol_without_predictor_and_teacher(method: Any, patch: Patch) -> None:
    method.predictor, method.settings = nn.Identity(), dataclasses.replace(method.settings, momentum=0.0)


def dino_without_centre(method: Any, patch: Patch) -> None:
    method.settings = dataclasses.replace(method.settings, centre_momentum=1.0)


def ibot_without_centre_and_spread(method: Any, patch: Patch) -> None:
    method.settings = dataclasses.replace(method.settings, centre_momentum=1.0, koleo=0.0, momentum=0.9)


def lejepa_without_spread(method: Any, patch: Patch) -> None:
    method.settings = dataclasses.replace(method.settings, weight=0.0)


def jigsaw_of_blank_pieces(method: Any, patch: Patch) -> None:
    patch.setattr(method, "_cut", lambda x, seed: [torch.zeros_like(x[:, :, :16, :16])] * 4)


def mae_that_sees_nothing(method: Any, patch: Patch) -> None:
    patch.setattr(trainers.methods.mae, "patch_tokens", lambda vit, x: torch.zeros_like(patch_tokens(vit, x)))


BROKEN: dict[str, tuple[Callable[[Any, Patch], None], int, float, str]] = {  # what breaks it, epochs, rate, collapse
    "byol": (byol_without_predictor_and_teacher, 10, 3e-2, "point"),
    "dino": (dino_without_centre, 10, 1e-2, "one prototype"),
    "ibot": (ibot_without_centre_and_spread, 20, 1e-2, "one prototype"),
    "jigsaw": (jigsaw_of_blank_pieces, 2, 1e-3, "point"),
    "lejepa": (lejepa_without_spread, 10, 1e-2, "point"),
    "mae": (mae_that_sees_nothing, 2, 1e-3, "point"),
    "moco-v1": (contrast_without_negatives, 10, 1e-2, "point"),
    "moco-v2": (contrast_without_negatives, 10, 1e-2, "point"),
    "moco-v3": (contrast_without_negatives, 10, 3e-1, "point"),
    "simclr": (contrast_without_negatives, 10, 3e-2, "point"),
    "simclr-v2": (contrast_without_negatives, 10, 3e-2, "point"),
}


@pytest.mark.parametrize("name", SOME)
def test_the_collapse_of_a_broken_copy_is_found(name: str, tmp_path: Path, monkeypatch: Patch) -> None:
    breaks, epochs, lr, expected = BROKEN[name]
    config = config_of(name, epochs, lr)
    method = build(config)
    breaks(method, monkeypatch)
    found = collapse(train(method, config, tmp_path), method.uniform_loss, method.cures)
    assert found is not None
    assert found.name == expected
