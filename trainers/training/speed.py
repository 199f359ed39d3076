"""The speed of a training on this machine, for the choice of a network by minutes."""

import math
import time
from dataclasses import replace

import torch

from featurestore.errors import TrainingError
from featurestore.progress import Listener
from trainers.config.schema import Config
from trainers.config.settle import Settled
from trainers.data.images import Images
from trainers.methods import Progress
from trainers.training.loop import take_step
from trainers.training.setup import build, set_up

SECONDS = 2.0  # that a network is timed for
FIRST_STEP = 5.0  # times as long as the others, at most, on a processor
AT = Progress(step=0, epoch=0, fraction=0.5)


def images_per_second(config: Config, images: int, enough: float) -> float:
    """Measure the steps of a settled configuration on so many images, which are random here; 0 where they do not fit the memory.

    A processor takes small batches, and stops after the first when it is far from `enough`; where that is 0, nothing is timed and the speed
    is infinite. Raises ConfigError when the network cannot take the crops.
    """
    if not enough:
        build(config)
        return math.inf
    try:
        return _measure(replace(config, compile=False), images, enough)
    except (TrainingError, torch.OutOfMemoryError):
        return 0.0
    finally:
        if config.device == "cuda":
            torch.cuda.empty_cache()  # the loader looks at what is free


def _measure(config: Config, images: int, enough: float) -> float:
    on_processor, batch_size = config.device == "cpu", min(config.batch_size, images)
    if on_processor:
        view = config.view_size or config.image_size
        config, batch_size = replace(config, accumulate=1), min(batch_size, max(8, (256 // view) ** 2))
    pixels = torch.randint(256, (batch_size, 3, config.image_size, config.image_size), dtype=torch.uint8)
    setup = set_up(Settled(config), lambda fabric, listener: Images(pixels, (), (), ""), Listener())
    batch = pixels.to(setup.fabric.device)

    def seconds() -> float:
        began = time.perf_counter()
        take_step(setup.step, batch, AT).losses[-1].item()  # waits for the device
        return time.perf_counter() - began

    first = seconds()
    if on_processor and FIRST_STEP * batch_size / first < enough:
        return batch_size / first
    times = [seconds(), seconds()]
    while sum(times) < SECONDS:
        times.append(seconds())
    return batch_size / min(times)  # the best: what else runs on the machine only adds time
