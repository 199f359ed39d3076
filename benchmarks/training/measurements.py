"""Single measurements of training, ours and lightly's. Each runs in its own process."""

import sys
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

# The same network for both, and settings that make ours do the same work as lightly's documented training: MoCo's loss in one direction and
# over the whole batch, DINO without drop-path and gradient clipping.
SETTINGS: dict[str, dict[str, Any]] = {
    "simclr": {"backbone": "resnet18"},
    "moco-v2": {"backbone": "resnet18", "moco-v2": {"symmetric": False, "groups": 1}},
    "byol": {"backbone": "resnet18"},
    "dino": {
        "backbone": "vit_tiny_patch16_224",
        "patch_size": 4,
        "drop_path": 0.0,
        "optimizer": {"clip": 0.0},
        "dino": {"local_crops": 4, "prototypes": 1024},
    },
}
SIZE = 32
WARM_UP = 2  # steps
BATCH = 128  # pictures whose views are timed
REPEATS = 5


def ours(data: str, method: str, batch_size: int, seconds: float, precision: str) -> float:
    """Images a second of the steps of `featurestore train`."""
    sys.modules["torchmetrics"] = None  # type: ignore[assignment]  # installed by lightly; Fabric would import it and much else
    from trainers.config.machine import on_this_machine
    from trainers.config.resolve import resolve
    from trainers.data import images
    from trainers.data.loader import Loader
    from trainers.methods import Progress
    from trainers.training.devices import launch
    from trainers.training.loop import take_step
    from trainers.training.setup import build, preprocess_of
    from trainers.training.step import TrainingStep

    config = on_this_machine(
        resolve(
            {
                "method": method,
                "batch_size": batch_size,
                "image_size": SIZE,
                "device": "cpu",
                "precision": precision,
                **SETTINGS[method],
            }
        )
    )
    fabric = launch(config)
    step = TrainingStep(fabric, build(config), config, batch_size)
    pixels = images.load(images.list_training_files(data).training, preprocess_of(config)).pixels
    loader = Loader(pixels, fabric.device, batch_size, seed=0)

    def steps() -> Iterator[int]:
        done = 0
        for epoch in count():
            for batch in loader.epoch(epoch):
                take_step(step, batch, Progress(done, epoch, 0.5))
                done += 1
                yield len(batch)

    return speed(steps(), WARM_UP, seconds)


def theirs(data: str, method: str, batch_size: int, seconds: float, precision: str) -> float:
    """Images a second of lightly's documented training."""
    from benchmarks.training.lightly_training import training

    assert precision == "32-true"
    own = SETTINGS[method]
    lightly = training(Path(data), method, own["backbone"], SIZE, batch_size, own.get("patch_size"))
    return speed(lightly.steps, WARM_UP, seconds)


def speed(steps: Iterator[int], warm_up: int, seconds: float) -> float:
    """Images a second of a training over the steps that begin within `seconds`."""
    for _ in range(warm_up):
        next(steps)
    began, images = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        images += next(steps)
    return images / (time.perf_counter() - began)


def train_for_lightly(data: str, network: str, minutes: float, seed: int, out: str) -> float:
    """Train with lightly and export the encoder; returns images a second."""
    from benchmarks.training.lightly_training import train_for

    return train_for(data, network, SIZE, 256, minutes, seed, out)


# -- augmentation


def _pictures(folder: str, size: int) -> Any:
    from featurestore.imaging.preprocess import Preprocess
    from trainers.data import images as data

    files = data.list_training_files(folder).training[:BATCH]
    return data.load(files, Preprocess(size=size, shorter_side=size)).pixels


def our_views(folder: str, size: int) -> float:
    """Milliseconds a view, normalised and ready for the network, in a process set up as for training."""
    import torch

    from trainers.augmentations import augment, two_views
    from trainers.config.resolve import resolve
    from trainers.runtime import memory

    torch.set_num_threads(1)
    memory.keep_freed()
    pixels = _pictures(folder, size)
    specs = two_views(resolve({"method": "simclr", "image_size": size}).augment, size)
    rng = torch.Generator().manual_seed(0)
    return _milliseconds(lambda: [augment(pixels, spec, rng) for spec in specs], 2 * len(pixels))


def their_views(folder: str, size: int) -> float:
    """Milliseconds a view, normalised, from decoded pictures of the right size."""
    import torch
    from lightly.transforms import SimCLRTransform
    from PIL import Image

    torch.set_num_threads(1)
    pictures = [Image.fromarray(pixels.permute(1, 2, 0).numpy()) for pixels in _pictures(folder, size)]
    blur = {"gaussian_blur": 0.0} if size <= 64 else {}
    transform = SimCLRTransform(input_size=size, cj_strength=0.5, **blur)
    return _milliseconds(lambda: [transform(picture) for picture in pictures], 2 * len(pictures))


def _milliseconds(call: Any, views: int) -> float:
    call()
    began = time.perf_counter()
    for _ in range(REPEATS):
        call()
    return 1000 * (time.perf_counter() - began) / (REPEATS * views)
