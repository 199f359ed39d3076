"""The encoders that a training may end with: its own, and those that it must beat."""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Generator, Tensor, nn

from featurestore.errors import FeatureStoreError, TrainingError
from featurestore.estimators.whitening import Part
from featurestore.imaging.preprocess import Preprocess
from featurestore.progress import Listener
from trainers.augmentations import normalise
from trainers.config.schema import Config
from trainers.methods import Method
from trainers.models.backbones import feature_dim
from trainers.models.start import kind_of_start
from trainers.training.beside import beside, known_weights, side_by_side, steadied, with_fitted
from trainers.training.checkpoint import origin_of
from trainers.training.contender import OWN, RAW, START, UNTRAINED, Contender, Encoding, alone, forms_of, published
from trainers.training.features import PIXELS, RawPixels, device_of
from trainers.training.setup import build, load_run, preprocess_of

EARLIER_LENGTH = 0.6  # of the trained part beside known weights, of runs whose checkpoint does not say it
STATISTICS_BATCH = 64  # images a batch, whose statistics BatchNorm averages


def contenders(
    config: Config,
    method: Method,
    identity: Mapping[str, Any],
    pixels: Mapping[int, Tensor],
    labelled: bool,
    listener: Listener,
) -> list[Encoding]:
    """Give the trained encoder, the weights it started from, or the network without training, and raw pixels, in this order.

    A network that was trained beside known weights comes alone, and with them. Networks also with the layout of the image, where they can
    give it. identity: of the training's checkpoints. pixels: training images, uint8 (N, 3, S, S) by S: the untrained network gets their
    statistics, since without them BatchNorm does nothing. labelled: whether labels measure the contenders; then known weights are fitted to
    views of these images, too, which would flatter them where views measure. Weights to start from that are gone by now are left out, with
    a note.
    """
    own, at_own_size = trained(config, method, identity), pixels[config.image_size]
    device = device_of(own.network, at_own_size)
    found = [alone(own)]
    try:
        if config.init is not None:
            found.append(alone(_start(config, start_network(config).to(device), identity)))
        elif config.base is not None:
            known = known_weights(config, identity, device)
            steady = steadied(known, pixels[known.record.size], method.views[0]) if labelled else None
            found.append(beside(known, own, config, steady))
    except FeatureStoreError as error:
        listener.note(f"the encoder is not compared with the weights it started from: {error}")
    record, side = preprocess_of(config), min(PIXELS, config.image_size)
    if len(found) == 1:
        nothing = untrained(dataclasses.replace(config, init=None))
        recompute_statistics(nothing.network.to(device), at_own_size, record)
        found.append(alone(nothing))
    raw = Contender(RAW, RawPixels(side), record, (Part(3 * side**2),), "pixels", f"{side}x{side}", "normalised")
    return [*found, alone(raw)]


def trained(config: Config, method: Method, state: Mapping[str, Any], layout: bool = False) -> Contender:
    """Give the network that a training exports; `state` is its checkpoint, or what identifies it."""
    origin = origin_of(state)
    if config.base is not None:
        origin.pop("weights", None)  # it stands beside them, and has nothing of them
    plain = _contender(OWN, method.export_backbone, config, config.method, method.export_branch, origin)
    return forms_of(plain)[-1] if layout else plain


def trained_beside(config: Config, method: Method, state: Mapping[str, Any], layout: bool = False) -> Contender:
    """Give the network that a training exports beside its known weights. Raises ConfigError when these are gone, TrainingError."""
    known = with_fitted(known_weights(config, state, torch.device("cpu")), state.get("fitted"))
    own = trained(config, method, state)
    both = side_by_side(*((forms_of(known)[-1], forms_of(own)[-1]) if layout else (known, own)), config)
    length = state.get("length", EARLIER_LENGTH)
    if not isinstance(length, float) or not 0 < length < math.inf:
        raise TrainingError(f"the checkpoint has {length!r} as the length of the trained part; train again")
    return both.with_length(length)


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
    return _contender(START, network, config, kind_of_start(config.init), "start", published(identity))


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
