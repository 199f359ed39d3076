"""The encoders that a training may end with: its own, and those that it must beat."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Generator, Tensor, nn

from featurestore.errors import FeatureStoreError
from featurestore.estimators.whitening import Part
from featurestore.imaging.preprocess import Preprocess
from featurestore.progress import Listener
from trainers.augmentations import normalise
from trainers.config.schema import Config
from trainers.methods import Method
from trainers.models.backbones import feature_dim
from trainers.models.readout import with_layout
from trainers.models.side_by_side import TRAINED_LENGTH, SideBySide
from trainers.models.start import kind_of_start, known_network
from trainers.training.checkpoint import origin_of
from trainers.training.features import PIXELS, RawPixels, device_of
from trainers.training.setup import base_preprocess_of, build, load_run, preprocess_of

OWN, START, UNTRAINED, RAW = "own encoder", "start weights", "untrained network", "raw pixels"
BESIDE = " beside start weights"  # after a name
LAYOUT = ", with layout"  # after a name, and after a branch
STATISTICS_BATCH = 64  # images a batch, whose statistics BatchNorm averages


@dataclass(frozen=True, eq=False)
class Contender:
    """An encoder, and what its card says of it."""

    kind: str
    network: nn.Module  # normalised pixels (B, 3, S, S) to (B, D)
    record: Preprocess  # S, and how pixels are normalised
    parts: tuple[Part, ...]  # of its vectors, each whitened by itself
    method: str
    backbone: str
    branch: str
    trained_on: Mapping[str, Any] = field(default_factory=lambda: {"count": 0, "sha256": ""})
    layout: bool = False
    beside: bool = False  # its vectors stand beside those of known weights

    @property
    def name(self) -> str:
        return self.name_without_layout + LAYOUT * self.layout

    @property
    def name_without_layout(self) -> str:
        return self.kind + BESIDE * self.beside

    @property
    def dim(self) -> int:
        return sum(part.dim for part in self.parts)


@dataclass(frozen=True)
class Encoding:
    """Contenders that are measured by one pass of images through a network: their vectors are numbers of its vectors."""

    network: nn.Module
    record: Preprocess
    numbers: tuple[tuple[Contender, NDArray[np.intp]], ...]

    @property
    def pairs(self) -> list[tuple[Contender, Contender]]:
        """Pair each contender without layout with itself in its last form, that with layout if there is one."""
        found = [contender for contender, _ in self.numbers]
        last = {contender.name_without_layout: contender for contender in found}
        return [(plain, last[plain.name]) for plain in found if not plain.layout]


def contenders(
    config: Config, method: Method, identity: Mapping[str, Any], pixels: Tensor, listener: Listener
) -> list[Encoding]:
    """Give the trained encoder, the weights it started from, or the network without training, and raw pixels, in this order.

    A network that was trained beside known weights comes alone, and with them. Networks also with the layout of the image, where they can
    give it. identity: of the training's checkpoints. pixels: uint8 (N, 3, S, S), training images: the untrained network gets their
    statistics, since without them BatchNorm does nothing. Weights to start from that are gone by now are left out, with a note.
    """
    own, device = trained(config, method, identity), device_of(method.export_backbone, pixels)
    found = [_alone(own)]
    try:
        if config.init is not None:
            found.append(_alone(_start(config, start_network(config).to(device), identity)))
        elif config.base is not None:
            found.append(_beside(_base(config, identity, device), own, config))
    except FeatureStoreError as error:
        listener.note(f"the encoder is not compared with the weights it started from: {error}")
    record, side = preprocess_of(config), min(PIXELS, config.image_size)
    if len(found) == 1:
        nothing = untrained(dataclasses.replace(config, init=None))
        recompute_statistics(nothing.network.to(device), pixels, record)
        found.append(_alone(nothing))
    raw = Contender(RAW, RawPixels(side), record, (Part(3 * side**2),), "pixels", f"{side}x{side}", "normalised")
    return [*found, _alone(raw)]


def trained(config: Config, method: Method, state: Mapping[str, Any], layout: bool = False) -> Contender:
    """Give the network that a training exports; `state` is its checkpoint, or what identifies it."""
    origin = origin_of(state)
    if config.base is not None:
        origin.pop("weights", None)  # it stands beside them, and has nothing of them
    plain = _contender(OWN, method.export_backbone, config, config.method, method.export_branch, origin)
    return _forms(plain)[-1] if layout else plain


def trained_beside(config: Config, method: Method, state: Mapping[str, Any], layout: bool = False) -> Contender:
    """Give the network that a training exports beside its known weights. Raises ConfigError when these are gone."""
    base, own = _base(config, state, torch.device("cpu")), trained(config, method, state)
    return _side_by_side(*((_forms(base)[-1], _forms(own)[-1]) if layout else (base, own)), config)


def untrained(config: Config) -> Contender:
    """Build the network of a training with its first weights."""
    method = build_as_first(config)
    return _contender(UNTRAINED, method.export_backbone, config, "untrained", method.export_branch)


def _contender(
    kind: str, network: nn.Module, config: Config, method: str, branch: str, origin: Mapping[str, Any] | None = None
) -> Contender:
    plain = Contender(
        kind, network, preprocess_of(config), (Part(feature_dim(network)),), method, config.backbone, branch
    )
    return plain if origin is None else dataclasses.replace(plain, trained_on=origin)


def _start(config: Config, network: nn.Module, identity: Mapping[str, Any]) -> Contender:
    assert config.init is not None
    return _contender(START, network, config, kind_of_start(config.init), "start", _published(identity))


def _base(config: Config, identity: Mapping[str, Any], device: torch.device) -> Contender:
    assert config.base is not None
    assert config.base_backbone is not None
    record = base_preprocess_of(config)
    network = known_network(config.base, config.base_backbone, record.size).eval().to(device)
    return Contender(
        START, network, record, (Part(feature_dim(network)),), kind_of_start(config.base), config.base_backbone, "start",
        _published(identity),
    )  # fmt: skip


def _published(identity: Mapping[str, Any]) -> dict[str, Any]:
    """Say that a network has seen no images here, and which weights it has; earlier versions wrote no weights."""
    return {"count": 0, "sha256": "", **{key: identity[key] for key in ("weights",) if key in identity}}


def _alone(plain: Contender) -> Encoding:
    forms = _forms(plain)
    return Encoding(forms[-1].network, plain.record, tuple((form, np.arange(form.dim)) for form in forms))


def _beside(base: Contender, own: Contender, config: Config) -> Encoding:
    bases, owns = _forms(base), _forms(own)
    widest = _side_by_side(bases[-1], owns[-1], config)
    after = bases[-1].dim  # where the numbers of the trained network begin
    pairs = dict.fromkeys([(bases[0], owns[0]), (bases[-1], owns[-1])])
    both = [(_side_by_side(known, mine, config), np.r_[: known.dim, after : after + mine.dim]) for known, mine in pairs]
    return Encoding(widest.network, base.record, (*both, *((form, np.arange(form.dim)) for form in bases)))


def _side_by_side(known: Contender, own: Contender, config: Config) -> Contender:
    layout = known.layout or own.layout
    [part] = own.parts
    return dataclasses.replace(
        own, network=SideBySide(known.network, own.network, config.image_size), record=known.record,
        parts=(*known.parts, part._replace(length=TRAINED_LENGTH)), backbone=f"{known.backbone} and {own.backbone}",
        branch=own.branch.removesuffix(LAYOUT) + BESIDE + LAYOUT * layout,
        trained_on={**own.trained_on, **{key: known.trained_on[key] for key in ("weights",) if key in known.trained_on}},
        layout=layout, beside=True,
    )  # fmt: skip


def _forms(plain: Contender) -> tuple[Contender, ...]:
    """Give a contender without layout, and with it where its network can give it."""
    network = with_layout(plain.network, plain.record.size) if plain.kind != RAW else None
    if network is None:
        return (plain,)
    part = Part(network.num_features, plain.dim)
    return plain, dataclasses.replace(plain, network=network, parts=(part,), branch=plain.branch + LAYOUT, layout=True)


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
