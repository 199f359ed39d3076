"""A training of so many minutes: method, network and size of the pictures, by what this machine does in its first seconds."""

import math
import os
import statistics
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import torch

from featurestore.errors import ConfigError, ImageError, TrainingError
from featurestore.imaging.decode import size_of
from featurestore.progress import Listener
from featurestore.sources import ImageFile, read
from trainers.config.recipes import Recipe
from trainers.config.resolve import resolve
from trainers.config.schema import Config
from trainers.methods import METHODS, Progress
from trainers.training.devices import launch, settle
from trainers.training.setup import build
from trainers.training.step import TrainingStep

NETWORK = ("backbone", "patch_size", "image_size", "view_size")  # what makes a network and its sizes
EPOCHS = 500  # passes after which a small collection has nothing new to tell
LOOKED_AT = 32  # images whose size is read
ENOUGH = 2.0  # seconds that a network is timed for
FIRST_STEP = 5.0  # times as long as the others, at most, on a processor
AT = Progress(step=0, epoch=0, fraction=0.5)


@dataclass(frozen=True, slots=True)
class Rung:
    """A network and its sizes, and how many images a training must see for it to be better than the rungs below."""

    backbone: str
    image_size: int  # pixels, of the encoder
    view_size: int  # pixels, of the views in training
    images: int

    def __str__(self) -> str:
        return f"{self.backbone} at {self.image_size} px"


# From the best and slowest down; benchmarks/RESULTS.md, "Networks by the minute", says what is measured of it.
LADDER = (
    Rung("resnet18", 224, 168, 1_500_000),
    Rung("resnet18", 128, 96, 1_500_000),
    Rung("resnet18", 64, 48, 1_500_000),
    Rung("resnet18", 32, 32, 1_500_000),
    Rung("conv4", 64, 48, 300_000),
    Rung("conv4", 32, 24, 0),
    # Taken where crops that were asked for are too small for those above.
    Rung("conv4", 32, 32, 0),
    Rung("conv4", 64, 48, 0),
    Rung("resnet18", 32, 32, 0),
)


def choose(
    files: Sequence[ImageFile], given: Mapping[str, Any], recipe: Recipe, listener: Listener
) -> tuple[dict[str, Any], list[str]]:
    """Choose what `given` leaves open for a training of `given["minutes"]`: a layer of settings, and why, in words; both empty without such a budget.

    The highest rung whose images this machine sees in that time, no larger than the images at hand; timed on random pictures,
    for a few seconds. Where the network or a size is given, and on several devices, only the method is chosen. Raises ConfigError
    when no rung takes the crops of the method.
    """
    minutes = given.get("minutes")
    if not isinstance(minutes, (int, float)) or not 0 < minutes < math.inf or given.get("recipe", "auto") != "auto":
        return {}, []
    layer = {"method": _method(given)}
    several = given.get("devices", 1) != 1 or "LOCAL_WORLD_SIZE" in os.environ
    if several or layer["method"] == "mae" or any(given.get(key) is not None for key in (*NETWORK, "init")):
        return layer, [f"{minutes:g} minutes: {layer['method']}"]

    def settings(rung: Rung) -> dict[str, Any]:
        return {**layer, "backbone": rung.backbone, "image_size": rung.image_size, "view_size": rung.view_size}

    largest = max(usual_side(files), LADDER[-1].image_size)
    passed: list[str] = []
    for rung in [rung for rung in LADDER if rung.image_size <= largest]:
        listener.start(f"timing {rung}", None)
        config = settle(resolve(settings(rung), given, recipe=recipe))
        why_not = _why_not(rung, config, len(files), 60 * minutes)
        if why_not is None:
            break
        passed.append(f"{rung} {why_not}")
    else:
        build(config)  # tells what is wrong with the crops
    chosen = f"{minutes:g} minutes on this machine: {layer['method']}, {rung}, views of {rung.view_size} px"
    return settings(rung), ["; ".join([chosen, *passed])]


def _why_not(rung: Rung, config: Config, images: int, seconds: float) -> str | None:
    """Say in words why a rung, as `config` has it, is none for a training of so many seconds; None when it is."""
    try:
        build(config)
    except ConfigError as error:
        return f"with views of {rung.view_size} px is refused ({error})"
    needed = min(rung.images, EPOCHS * images)
    rate = speed(config, images, needed / seconds) if needed else math.inf
    if seconds * rate >= needed:
        return None
    return f"would see {seconds * rate:,.0f} of {needed:,} images" if rate else "does not fit the memory"


def _method(given: Mapping[str, Any]) -> str:
    """The method that was given, by name or by settings of its own; else the best of short trainings."""
    meant = [name for name in METHODS if name in given]
    return str(given.get("method", meant[0] if len(meant) == 1 else "simclr"))


def usual_side(files: Sequence[ImageFile]) -> int:
    """The shorter side of an image of a collection, in pixels: the median of a few, 0 where none can be read."""
    sides = []
    for file in files[:: max(1, len(files) // LOOKED_AT)]:
        with suppress(ImageError):  # the training names what it cannot read
            sides.append(min(size_of(read(file.path, file.mtime_ns))))
    return int(statistics.median(sides)) if sides else 0


def speed(config: Config, images: int, wanted: float) -> float:
    """Images a second of the steps of a settled configuration on so many, here random, images; 0 where they do not fit the memory.

    A processor takes small batches, and gives up after the first when the `wanted` speed is far off.
    """
    try:
        return _speed(replace(config, compile=False), images, wanted)
    except (TrainingError, torch.OutOfMemoryError):
        return 0.0
    finally:
        if config.device == "cuda":
            torch.cuda.empty_cache()  # the loader looks at what is free


def _speed(config: Config, images: int, wanted: float) -> float:
    on_processor, batch_size = config.device == "cpu", min(config.batch_size, images)
    if on_processor:
        view = config.view_size or config.image_size
        config, batch_size = replace(config, accumulate=1), min(batch_size, max(8, (256 // view) ** 2))
    fabric = launch(config)
    step = TrainingStep(fabric, build(config), config, batch_size)
    batch = torch.randint(256, (batch_size, 3, config.image_size, config.image_size), dtype=torch.uint8)
    batch = batch.to(fabric.device)

    def seconds() -> float:
        began = time.perf_counter()
        step.run(batch, AT).losses[-1].item()  # waits for the device
        return time.perf_counter() - began

    first = seconds()
    if on_processor and FIRST_STEP * batch_size / first < wanted:
        return batch_size / first
    times = [seconds(), seconds()]
    while sum(times) < ENOUGH:
        times.append(seconds())
    return batch_size / statistics.median(times)
