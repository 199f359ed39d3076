"""Set-up: from settled settings to everything that a training step needs."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric

from featurestore.errors import ConfigError
from featurestore.imaging.preprocess import IMAGENET_MEAN, IMAGENET_STD, Preprocess
from featurestore.progress import Listener
from trainers.config.parse import read_settings
from trainers.config.resolve import resolve
from trainers.config.schema import Config
from trainers.config.settle import Settled
from trainers.data.images import Images
from trainers.data.loader import Loader
from trainers.methods import METHODS, Method
from trainers.models.backbones import make_backbone, try_size
from trainers.models.start import kind_of_start, start_from
from trainers.training import checkpoint
from trainers.training.devices import launch
from trainers.training.step import TrainingStep


@dataclass(frozen=True)
class Setup:
    """A training that is ready to run."""

    config: Config
    fabric: Fabric
    method: Method
    step: TrainingStep
    loader: Loader
    images: Images
    listener: Listener  # silent in all processes but the first


def set_up(
    settled: Settled,
    load: Callable[[Fabric, Listener], Images],
    listener: Listener,
    state: dict[str, Any] | None = None,
) -> Setup:
    """Launch the processes, build the network, load the images, and build step and loader.

    `load` is called once the network is built, so that wrong settings are found before images are decoded. `state` is a checkpoint to go on
    from. Raises ConfigError, TrainingError, and what `load` raises.
    """
    config = settled.config
    fabric = launch(config)
    if not fabric.is_global_zero:
        listener = Listener()
    for line in settled.lines:
        listener.note(line)
    torch.manual_seed(config.seed)
    method = build(config if state is None else replace(config, init=None), listener.note)
    if state is None and config.init is not None and kind_of_start(config.init) == "run":
        load_run(method, Path(config.init))
    return assemble(config, fabric, method, load(fabric, listener), listener, state)


def assemble(
    config: Config,
    fabric: Fabric,
    method: Method,
    images: Images,
    listener: Listener,
    state: dict[str, Any] | None = None,
) -> Setup:
    """Build step and loader of a method and images that are there already. Raises TrainingError."""
    batch_size = min(config.batch_size, len(images.pixels))
    batch_size -= batch_size % fabric.world_size  # all processes have the same number of images
    step = TrainingStep(fabric, method, config, batch_size, state)
    loader = Loader(images.pixels, fabric.device, batch_size, config.seed, fabric.global_rank, fabric.world_size)
    return Setup(config, fabric, method, step, loader, images, listener)


def build(config: Config, note: Callable[[str], None] = lambda text: None) -> Method:
    """Build the method of a configuration; draws its weights from torch's global generator. Raises ConfigError."""
    cls = METHODS[config.method]
    start = config.init and kind_of_start(config.init)
    backbone, adapted = make_backbone(
        config.backbone,
        config.image_size,
        config.patch_size,
        config.drop_path,
        pretrained=start == "timm",
        published_stem=config.stem == "published",
        registers=config.registers,
    )
    if config.init is not None and start in ("torchvision", "file"):
        adapted += start_from(backbone, config.init)
    for line in [*adapted, cls.variants[config.method].warning]:
        if line:
            note(line)
    record = preprocess_of(config)
    views = tuple(
        replace(view, mean=record.mean, std=record.std)
        for view in cls.make_views(config.augment, config.view_size or config.image_size, config.settings)
    )
    method = cls(backbone, config.settings, views)
    for size in sorted(method.sizes - {config.image_size}):
        try:
            try_size(backbone, size)
        except Exception as error:
            raise ConfigError(
                f"{config.backbone} cannot take the crops of {size} px that {config.method} makes: {error}; choose another --image-size, or view_size"
            ) from error
    return method


def preprocess_of(config: Config) -> Preprocess:
    """Give the preprocessing of a run's encoder."""
    return Preprocess(
        size=config.image_size,
        shorter_side=config.image_size,
        mean=config.mean or IMAGENET_MEAN,
        std=config.std or IMAGENET_STD,
        bands=config.bands,
    )


def base_preprocess_of(config: Config) -> Preprocess:
    """Give the preprocessing of the known network that the trained one stands beside."""
    assert config.base_size is not None
    return replace(preprocess_of(config), size=config.base_size, shorter_side=config.base_size)


def open_run(run: Path) -> tuple[Config, Method, dict[str, Any]]:
    """Give the settings of a run, its method with the trained weights, and its checkpoint. Raises TrainingError when it is none, ConfigError."""
    state = checkpoint.load(run / "checkpoint.pt")
    config = resolve(read_settings(run))
    method = build(replace(config, init=None))
    checkpoint.load_weights(method, state["method"], run)
    return config, method, state


def load_run(method: Method, run: Path) -> None:
    """Load the backbone of another run into all copies of the method's own. Raises ConfigError, TrainingError."""
    theirs = resolve(read_settings(run))
    trained = build(replace(theirs, init=None))
    checkpoint.load_weights(trained, checkpoint.load(run / "checkpoint.pt")["method"], run)
    weights = trained.export_backbone.state_dict()
    try:
        for network in method.backbones:
            network.load_state_dict(weights)
    except RuntimeError as error:
        raise ConfigError(
            f"--init {run}: its backbone is {theirs.backbone} at {theirs.image_size} px and does not fit this one; choose the same"
        ) from error
