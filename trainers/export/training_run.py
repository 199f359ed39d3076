"""The encoder of a training run as a file: trained, or with its first, random weights."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from featurestore.encoders.card import Card
from featurestore.estimators.whitening import Whitening
from featurestore.version import __version__
from trainers.config.parse import read_settings
from trainers.config.resolve import resolve
from trainers.config.schema import Config
from trainers.export.torch_onnx import export
from trainers.methods import Method
from trainers.models.backbones import feature_dim
from trainers.training import checkpoint
from trainers.training.setup import build, preprocess_of
from trainers.training.whitening import from_state


def make_card(
    config: Config,
    method: Method,
    identity: Mapping[str, Any],
    trained: bool = True,
    whitening: Whitening | None = None,
) -> Card:
    """Fill in the card of the encoder that `method` gives; `identity` holds count and hash of the training images."""
    return Card(
        preprocess=preprocess_of(config),
        dim=feature_dim(method.export_backbone),
        method=config.method if trained else "untrained",
        backbone=config.backbone,
        branch=method.export_branch,
        trained_on=checkpoint.origin_of(identity),
        config_hash=config.hash(),
        featurestore_version=__version__,
        whitening={} if whitening is None else whitening.facts,
    )


def export_run(run: str | Path, out: str | Path, attention: bool = False, whiten: bool = True) -> Path:
    """Export the encoder of a run again from its checkpoint; `attention` adds that of a ViT as a second output.

    whiten: with the whitening that was fitted when the training ended, if it was.
    Raises TrainingError when `run` does not hold a training run, ConfigError, ExportError, DiskError.
    """
    run = Path(run)
    state = checkpoint.load(run / "checkpoint.pt")
    config = resolve(read_settings(run))
    method = build(dataclasses.replace(config, init=None))
    checkpoint.load_weights(method, state["method"], run)
    whitening = from_state(state, feature_dim(method.export_backbone)) if whiten else None
    card = make_card(config, method, state, whitening=whitening)
    return export(method.export_backbone, card, Path(out), attention, whitening)


def export_untrained(config: Config, out: str | Path) -> Path:
    """Export the backbone of `config` with its first, random weights: what any training must beat."""
    torch.manual_seed(config.seed)
    method = build(config)
    card = make_card(config, method, {"images": 0, "sha256": ""}, trained=False)
    return export(method.export_backbone, card, Path(out))
