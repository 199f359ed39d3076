"""Published encoders: a model of timm or torchvision, with its own preprocessing and without its classifier."""

import dataclasses
import logging
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torch
import torchvision
from torch import nn

from featurestore.encoders.card import Card
from featurestore.errors import ConfigError, EncoderError, ExportError
from featurestore.imaging.preprocess import Preprocess
from featurestore.progress import Listener
from featurestore.version import __version__
from trainers.export.torch_onnx import export
from trainers.models.backbones import try_size
from trainers.models.known_weights import take_weights
from trainers.models.start import torchvision_weights, unknown_name
from trainers.models.weights_file import describe_weights, read_weights

RESIZES = {"center": "shorter", "squash": "stretch"}  # timm's crop modes, and our names


@dataclass(frozen=True)
class Published:
    """A published network: (B, 3, size, size) in, the vector that its classifier would see, (B, D), out."""

    backbone: nn.Module
    record: Preprocess
    weights: str  # the name of the published weights, or "random"


def export_published(
    library: str,
    name: str,
    out: Path,
    pretrained: bool = True,
    attention: bool = False,
    bands: tuple[int, ...] | None = None,
    weights: Path | None = None,
    listener: Listener | None = None,
) -> Path:
    """Export the model `name` of "timm" or "torchvision" with its own preprocessing; downloads its weights where they are missing.

    weights: a file to take these from instead. Raises ConfigError for an unknown name, for a model that does not take square RGB images and
    for weights that do not fit, ExportError when the weights cannot be downloaded or the export fails its check.
    """
    pretrained = pretrained and weights is None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # both libraries warn about their own renamed settings
        model = LIBRARIES[library](name, pretrained)
    if weights is not None:
        for line in take_weights(model.backbone, read_weights(weights), f"--weights {weights}"):
            (listener or Listener()).note(line)
        model = dataclasses.replace(model, weights=describe_weights(weights))
    try:
        dim = try_size(model.backbone, model.record.size)
    except Exception as error:
        raise ConfigError(
            f"{library}:{name}: expected a network from images to one vector each, found: {error}; choose another model"
        ) from error
    card = Card(
        preprocess=dataclasses.replace(model.record, bands=bands),
        dim=dim,
        method=library,
        backbone=name,
        branch="published" if pretrained else "random" if weights is None else "weights of a file",
        trained_on={"count": 0, "sha256": "", "weights": model.weights},
        config_hash="",
        featurestore_version=__version__,
    )
    return export(model.backbone, card, out, attention)


def from_timm(name: str, pretrained: bool) -> Published:
    """Build a model of timm. Its vector is what timm's own pooling gives: the mean over positions, or the class token."""
    if not timm.is_model(name):
        raise unknown_name("timm", name, timm.list_models())
    if pretrained and not timm.models.is_model_pretrained(name):
        raise ConfigError(f"timm:{name}: has no published weights; choose one of timm.list_models(pretrained=True)")
    options: dict[str, Any] = {}
    if timm.models.is_model_in_modules(name, {"vision_transformer"}):
        options["dynamic_img_size"] = True  # this form of the network gives access to its attention
    backbone = _build(
        f"timm:{name}", pretrained, lambda: timm.create_model(name, pretrained=pretrained, num_classes=0, **options)
    )
    library: Any = timm.data  # it has no types
    record = read_timm(name, library.resolve_model_data_config(backbone))
    return Published(backbone, record, _timm_weights(backbone) if pretrained else "random")


def read_timm(name: str, config: dict[str, Any]) -> Preprocess:
    """Read the preprocessing of timm's own evaluation from the result of `timm.data.resolve_model_data_config`."""
    channels, height, width = config["input_size"]
    mode, part = config["crop_mode"], config["crop_pct"]
    if mode not in RESIZES or (mode == "squash" and part != 1):
        raise ConfigError(
            f"timm:{name}: its images are resized by {mode!r} with crop_pct {part}; expected 'center', or 'squash' with 1; choose another model"
        )
    return _record(
        f"timm:{name}", (channels, height, width), math.floor(height / part), RESIZES[mode], config["interpolation"],
        config["mean"], config["std"],
    )  # fmt: skip


def from_torchvision(name: str, pretrained: bool) -> Published:
    """Build a classification model of torchvision without its last linear layer."""
    weights = torchvision_weights(name)
    backbone = _build(
        f"torchvision:{name}",
        pretrained,
        lambda: torchvision.models.get_model(name, weights=weights if pretrained else None),
    )
    _remove_classifier(backbone, name, len(weights.meta["categories"]))
    given = weights.transforms()
    record = _record(
        f"torchvision:{name}", (3, *given.crop_size * 2)[:3], given.resize_size[0], "shorter", given.interpolation.value,
        given.mean, given.std,
    )  # fmt: skip
    return Published(backbone, record, str(weights) if pretrained else "random")


LIBRARIES = {"timm": from_timm, "torchvision": from_torchvision}


def _record(
    who: str, shape: tuple[int, ...], shorter_side: int, resize: str, interpolation: str, mean: Any, std: Any
) -> Preprocess:
    channels, height, width = shape
    if channels != 3 or height != width or len(mean) != 3:
        raise ConfigError(
            f"{who}: expected a network for square RGB images, found one for {channels} x {height} x {width}; choose another model"
        )
    try:
        return Preprocess(height, shorter_side, resize, interpolation, tuple(mean), tuple(std))
    except EncoderError as error:
        raise ConfigError(
            f"{who}: featurestore does not support its preprocessing ({error}); choose another model"
        ) from error


def _remove_classifier(model: nn.Module, name: str, classes: int) -> None:
    linear = [(path, layer) for path, layer in model.named_modules() if isinstance(layer, nn.Linear)]
    if not linear or linear[-1][1].out_features != classes:
        raise ConfigError(
            f"torchvision:{name}: expected a classifier that ends in a linear layer to {classes} classes, found none; choose another model"
        )
    model.set_submodule(linear[-1][0], nn.Identity())


def _build(who: str, pretrained: bool, make: Callable[[], Any]) -> nn.Module:
    hub = logging.getLogger("huggingface_hub")
    level = hub.level
    hub.setLevel(logging.ERROR)  # it warns about every attempt
    try:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # random weights are the same each time
            model: nn.Module = make()
    except Exception as error:  # from the hub, its cache, the network, or a truncated file
        reason = str(error).strip().splitlines()[0][:200] if str(error).strip() else type(error).__name__
        if not pretrained:
            raise ConfigError(f"{who}: cannot be built ({reason}); choose another model") from error
        raise ExportError(
            f"{who}: its published weights cannot be fetched ({reason}); run the command once with access to the "
            "network, or copy the cache of such a machine; --no-pretrained gives random weights, good for a trial only"
        ) from error
    finally:
        hub.setLevel(level)
    return model.eval()


def _timm_weights(model: Any) -> str:
    found = model.pretrained_cfg
    return str(found.get("hf_hub_id") or found.get("url") or found.get("tag") or "unknown")
