"""The encoders that a training may end with: its own, and those that it must beat."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor, nn

from featurestore.errors import FeatureStoreError
from featurestore.imaging.preprocess import Preprocess
from featurestore.progress import Listener
from trainers.augmentations import normalise
from trainers.config.schema import Config
from trainers.methods import Method
from trainers.models.backbones import feature_dim
from trainers.models.readout import with_layout
from trainers.models.start import kind_of_start
from trainers.training.checkpoint import origin_of
from trainers.training.features import PIXELS, RawPixels, device_of
from trainers.training.setup import build, load_run, preprocess_of

OWN, START, UNTRAINED, RAW = "own encoder", "start weights", "untrained network", "raw pixels"
LAYOUT = ", with layout"  # after a name, and after a branch
STATISTICS_BATCH = 64  # images a batch, whose statistics BatchNorm averages


@dataclass(frozen=True)
class Contender:
    """An encoder, and what its card says of it."""

    kind: str
    network: nn.Module  # normalised pixels (B, 3, S, S) to (B, D)
    dim: int  # D
    method: str
    backbone: str
    branch: str
    trained_on: Mapping[str, Any] = field(default_factory=lambda: {"count": 0, "sha256": ""})
    layout: bool = False
    kept: int | None = None  # length of its whitened vectors; None: D

    @property
    def name(self) -> str:
        return self.kind + LAYOUT * self.layout


Forms = tuple[Contender, ...]  # of one network; the vectors of the first are the first numbers of those of the last


def contenders(
    config: Config, method: Method, identity: Mapping[str, Any], pixels: Tensor, listener: Listener
) -> list[Forms]:
    """Give the trained encoder, the weights it started from, or the network without training, and raw pixels, in this order.

    Networks also with the layout of the image, where they can give it. identity: of the training's checkpoints. pixels: uint8
    (N, 3, S, S), training images: the untrained network gets their statistics, since without them BatchNorm does nothing. Weights to start
    from that are gone by now are left out, with a note.
    """
    own, device = trained(config, method, identity), device_of(method.export_backbone, pixels)
    found = [_forms(own, config.image_size)]
    if config.init is not None:
        try:
            network = start_network(config).to(device)
        except FeatureStoreError as error:
            listener.note(f"the encoder is not compared with the weights it started from: {error}")
        else:
            weights = {"weights": identity["weights"]} if "weights" in identity else {}  # earlier versions wrote none
            origin = {"count": 0, "sha256": "", **weights}
            start = Contender(START, network, own.dim, kind_of_start(config.init), config.backbone, "start", origin)
            found.append(_forms(start, config.image_size))
    record, side = preprocess_of(config), min(PIXELS, config.image_size)
    if len(found) == 1:
        nothing = untrained(dataclasses.replace(config, init=None))
        recompute_statistics(nothing.network.to(device), pixels, record)
        found.append(_forms(nothing, config.image_size))
    raw = Contender(RAW, RawPixels(side), 3 * side**2, "pixels", f"{side}x{side}", "normalised")
    return [*found, (raw,)]


def trained(config: Config, method: Method, state: Mapping[str, Any], layout: bool = False) -> Contender:
    """Give the network that a training exports; `state` is its checkpoint, or what identifies it."""
    network, dim = method.export_backbone, feature_dim(method.export_backbone)
    plain = Contender(OWN, network, dim, config.method, config.backbone, method.export_branch, origin_of(state))
    return _forms(plain, config.image_size)[-1] if layout else plain


def untrained(config: Config) -> Contender:
    """Build the network of a training with its first weights."""
    method = build_as_first(config)
    network = method.export_backbone
    return Contender(UNTRAINED, network, feature_dim(network), "untrained", config.backbone, method.export_branch)


def _forms(plain: Contender, size: int) -> Forms:
    network = with_layout(plain.network, size)
    if network is None:
        return (plain,)
    wider = dataclasses.replace(
        plain, network=network, dim=network.num_features, branch=plain.branch + LAYOUT, layout=True, kept=plain.dim
    )
    return plain, wider


def build_as_first(config: Config) -> Method:
    """Build a method with the random weights that its training began with; torch's global generator stays as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        return build(config)


def start_network(config: Config) -> nn.Module:
    """Build the network that a training with `init` started from. Raises ConfigError, TrainingError."""
    method = build_as_first(config)
    assert config.init is not None
    if kind_of_start(config.init) == "run":
        load_run(method, Path(config.init))
    return method.export_backbone


@torch.no_grad()
def recompute_statistics(network: nn.Module, pixels: Tensor, record: Preprocess) -> None:
    """Replace the running statistics of BatchNorm by the means of those of batches of these images, uint8 (N, 3, S, S).

    The network is in evaluation mode afterwards.
    """
    norms = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    network.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean of all batches
        norm.train()
    # Files are often sorted by class, and a batch of one class varies too little.
    order = torch.randperm(len(pixels), generator=Generator().manual_seed(0))
    with torch.compiler.set_stance("force_eager"):
        for rows in torch.tensor_split(order, max(1, len(pixels) // STATISTICS_BATCH)) if norms else ():
            network(normalise(pixels[rows].to(device_of(network, pixels)).float() / 255, record.mean, record.std))
    network.eval()
