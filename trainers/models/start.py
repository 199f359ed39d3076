"""What a training starts from (`--init`): published weights of timm or torchvision, a file of weights, or another run."""

import difflib
from pathlib import Path
from typing import Any, Literal

import timm
import torch
import torchvision
from torch import nn

from featurestore.errors import ConfigError
from featurestore.system.text import first_line
from trainers.models.backbones import FETCH_HINT, make_backbone
from trainers.models.known_weights import fit, take_weights
from trainers.models.local_weights import TIMM
from trainers.models.weights_file import SUFFIXES, describe_weights, is_weights_file, read_weights
from trainers.runtime.quiet import quiet

Start = Literal["timm", "torchvision", "file", "run"]
TORCHVISION = "torchvision:"


def kind_of_start(init: str) -> Start:
    """Distinguish "timm", "torchvision:NAME", a file of weights and the folder of a run. Raises ConfigError for anything else."""
    if init == "timm":
        return "timm"
    if init.startswith(TORCHVISION):
        return "torchvision"
    path = Path(init)
    if path.is_dir():
        return "run"
    if is_weights_file(init):
        return "file"
    raise ConfigError(
        f"--init {init}: expected timm, torchvision:NAME, a file of weights ({', '.join(SUFFIXES)}) or the folder of a run, found "
        f"{'another file' if path.exists() else 'nothing there'}; check the path"
    )


def settings_of_start(init: str, given: str | None, usual: str) -> dict[str, Any]:
    """Give the settings of a network that known weights bring along: its name, image size, mean and deviation; empty where none are known.

    `given` is the backbone that was asked for, if any; without one, weights of torchvision choose their own, those of a file the first of
    some small networks that they fit, and others the `usual` one.
    Raises ConfigError.
    """
    if kind_of_start(init) == "torchvision":
        name = init.removeprefix(TORCHVISION)
        transforms = torchvision_weights(name).transforms()
        if given is None and not timm.is_model(name):
            raise ConfigError(f"--init {init}: timm has no network of this name; give the same network by --backbone")
        return _settings(given or name, transforms.crop_size[0], transforms.mean, transforms.std)
    backbone = given or (_network_of(Path(init)) if kind_of_start(init) == "file" else None) or usual
    config = timm.models.get_pretrained_cfg(backbone) if timm.is_model(backbone) else None
    return {} if config is None else _settings(backbone, config.input_size[-1], config.mean, config.std)


def known_network(init: str, backbone: str, size: int) -> nn.Module:
    """Build a network with known weights of timm, torchvision or a file, as it was published. Raises ConfigError."""
    from_timm = kind_of_start(init) == "timm"
    network, _ = make_backbone(backbone, size, pretrained=from_timm, published_stem=True)
    if not from_timm:
        start_from(network, init)
    return network


def start_from(network: nn.Module, init: str) -> list[str]:
    """Load known weights that timm does not load itself into a network; returns lines for the log. Raises ConfigError."""
    if kind_of_start(init) == "torchvision":
        name = init.removeprefix(TORCHVISION)
        weights = torchvision_weights(name)
        try:
            with quiet(None):
                found = torchvision.models.get_model(name, weights=weights, progress=False).state_dict()
        except Exception as error:  # from the network, or a truncated file in the cache
            raise ConfigError(
                f"--init {init}: the published weights cannot be fetched ({first_line(error)}); {FETCH_HINT}"
            ) from error
    else:
        found = read_weights(Path(init))
    return take_weights(network, found, f"--init {init}")


def describe_start(init: str, backbone: str) -> str:
    """Name what a training started from, for a card; no paths. Raises ConfigError."""
    match kind_of_start(init):
        case "timm":
            config: Any = timm.models.get_pretrained_cfg(backbone)
            return str(config.hf_hub_id or config.url or f"timm {backbone}")
        case "torchvision":
            return str(torchvision_weights(init.removeprefix(TORCHVISION)))
        case "file":
            return describe_weights(Path(init))
        case _:
            run = Path(init).resolve()
            named = "".join(letter for letter in run.name if letter.isprintable())[:60]
            return f"run {named}, {describe_weights(run / 'checkpoint.pt')}"


def torchvision_weights(name: str) -> Any:
    """Give torchvision's best published weights of a network. Raises ConfigError for a name that it does not know."""
    known = torchvision.models.list_models(module=torchvision.models)
    if name not in known:
        raise unknown_name("torchvision", name, known)
    return torchvision.models.get_model_weights(name).DEFAULT


def unknown_name(library: str, name: str, known: list[str]) -> ConfigError:
    """Make the error for a network that a library does not know."""
    near = difflib.get_close_matches(name, known, 1, 0.5)
    hint = f"did you mean {near[0]}?" if near else "check the spelling"
    return ConfigError(f"{library}:{name}: expected the name of a model that {library} knows; {hint}")


def _network_of(path: Path) -> str | None:
    """Find the first of some small networks that the weights of a file fit; None where they fit none. Raises ConfigError."""
    found = read_weights(path)
    for name in TIMM:
        with torch.device("meta"):
            network = timm.create_model(name, num_classes=0)
        if fit(network, found):
            return name
    return None


def _settings(backbone: str, size: int, mean: Any, std: Any) -> dict[str, Any]:
    return {"backbone": backbone, "image_size": size, "mean": list(mean), "std": list(std)}
