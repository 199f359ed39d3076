"""A training of so many minutes: method, network and size of the pictures, by what this machine does in its first seconds."""

import io
import os
import statistics
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

import torch
from PIL import Image

from featurestore.errors import ImageError
from featurestore.progress import Listener
from featurestore.sources import ImageFile
from featurestore.sources.reading import read
from trainers.building import build
from trainers.config import Config, resolve
from trainers.devices import launch, settle
from trainers.methods import Progress
from trainers.recipes import Recipe
from trainers.step import TrainingStep

CHOSEN = ("backbone", "patch_size", "image_size", "view_size", "init", "devices")  # whoever gives one of them chooses
LOOKED_AT = 32  # images whose size is read
ENOUGH = 2.0  # seconds that a network is timed for
FIRST_STEP = 5.0  # times as long as the others, at most, on a processor
AT = Progress(step=0, epoch=0, fraction=0.5)
EPOCHS = 500  # passes after which a small collection has nothing new to tell


@dataclass(frozen=True, slots=True)
class Rung:
    """A network at a size, and how many images a training must see for it to be better than the rungs below."""

    backbone: str
    image_size: int  # pixels, of the encoder
    view_size: int  # pixels, of the views in training
    images: int


# From the best and slowest down; benchmarks/RESULTS.md, "Networks by the minute", has the figures.
LADDER = (
    Rung("resnet18", 224, 168, 1_500_000),
    Rung("resnet18", 128, 96, 1_500_000),
    Rung("resnet18", 64, 48, 1_500_000),
    Rung("resnet18", 32, 32, 1_500_000),
    Rung("conv4", 64, 48, 300_000),
    Rung("conv4", 32, 24, 0),
)


def choose(files: Sequence[ImageFile], given: Mapping[str, Any], recipe: Recipe, listener: Listener) -> dict[str, Any]:
    """Choose what `given` leaves open for a training of `given["minutes"]`: a layer of settings, empty where there is no such budget.

    The best rung whose images the machine can see in that time, for images no larger than those at hand; timed on random
    pictures, which takes a few seconds. On several devices, and where one of CHOSEN is given, only the method is chosen.
    """
    minutes = given.get("minutes")
    if given.get("recipe", "auto") != "auto" or not isinstance(minutes, (int, float)) or minutes <= 0:
        return {}
    layer = {"method": given.get("method", "simclr")}
    if (
        layer["method"] == "mae"
        or any(given.get(key) is not None for key in CHOSEN)
        or "LOCAL_WORLD_SIZE" in os.environ
    ):
        return layer
    side = max(LADDER[-1].image_size, usual_side(files))
    passed: list[str] = []
    for rung in (rung for rung in LADDER if rung.image_size <= side):
        settings = {"backbone": rung.backbone, "image_size": rung.image_size, "view_size": rung.view_size}
        needed = min(rung.images, EPOCHS * len(files))
        listener.start(f"timing {rung.backbone} at {rung.image_size} px", None)
        seen = (
            60 * minutes * speed(settle(resolve(layer, given, settings, recipe=recipe)), needed / (60 * minutes))
            if needed
            else 0
        )
        if seen >= needed:
            break
        passed.append(f"{rung.backbone} at {rung.image_size} px would see {seen:,.0f} of {needed:,} images")
    listener.note(
        f"{minutes:g} minutes on this machine: {'; '.join([*passed, f'{rung.backbone} at {rung.image_size} px is chosen'])}"
    )
    return {**layer, **settings}


def usual_side(files: Sequence[ImageFile]) -> int:
    """The shorter side of an image of a collection, in pixels: the median of a few, 0 where none can be read."""
    sides = []
    for file in files[:: max(1, len(files) // LOOKED_AT)]:
        with suppress(ImageError, OSError):  # the training names what it cannot read
            sides.append(min(Image.open(io.BytesIO(read(file.path, file.mtime_ns))).size))
    return int(statistics.median(sides)) if sides else 0


def speed(config: Config, needed: float) -> float:
    """Images a second of the steps of a settled configuration, on random pictures.

    On a processor it is given up after one step when `needed` is far off.
    """
    on_processor = config.device == "cpu"
    batch_size = min(config.batch_size, 64) if on_processor else config.batch_size
    fabric = launch(config)
    step = TrainingStep(fabric, build(replace(config, init=None)), config, batch_size)
    batch = torch.randint(256, (batch_size, 3, config.image_size, config.image_size), dtype=torch.uint8)
    batch = batch.to(fabric.device)

    def seconds(steps: int) -> float:
        began = time.perf_counter()
        for _ in range(steps):
            output = step.run(batch, AT)
        output.losses[-1].item()  # waits for the device
        return (time.perf_counter() - began) / steps

    first = seconds(1)
    if on_processor and FIRST_STEP * batch_size / first < needed:
        return batch_size / first
    return batch_size / seconds(max(2, min(20, round(ENOUGH / first))))
