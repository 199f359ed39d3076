"""Ablations of a training step: its time without each optimization that makes it fast. Each runs in its own process."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from statistics import median
from typing import Any
from unittest import mock

import torch
from torch import Tensor, nn

from featurestore.imaging.preprocess import Preprocess
from trainers.augmentations import augment
from trainers.config.machine import on_this_machine
from trainers.config.resolve import resolve
from trainers.data import images as data
from trainers.losses import nt_xent
from trainers.methods import Progress, Step
from trainers.methods.simclr import SimCLR
from trainers.runtime import memory
from trainers.training.devices import launch
from trainers.training.distributed import gather
from trainers.training.loop import take_step
from trainers.training.setup import build
from trainers.training.step import TrainingStep

SIZE, BATCH = 32, 256
WARM_UP = 3  # steps
AT = Progress(step=1000, epoch=10, fraction=0.5)


def without_kept_memory() -> AbstractContextManager[Any]:
    return mock.patch.object(memory, "keep_freed")


def _steps_changed(change: Callable[[TrainingStep], None]) -> AbstractContextManager[Any]:
    """Change every TrainingStep after its construction."""
    original = TrainingStep.__init__

    def changed(self: TrainingStep, *arguments: Any) -> None:
        original(self, *arguments)
        change(self)

    return mock.patch.object(TrainingStep, "__init__", changed)


def channels_first() -> AbstractContextManager[Any]:
    def change(step: TrainingStep) -> None:
        step.method.to(memory_format=torch.contiguous_format)
        views = step.views
        step.views = lambda batch, at: [view.contiguous() for view in views(batch, at)]  # type: ignore[method-assign]

    return _steps_changed(change)


def unfused_optimizer() -> AbstractContextManager[Any]:
    def change(step: TrainingStep) -> None:
        for group in step.optimizer.param_groups:
            group.update(fused=False, foreach=False)

    return _steps_changed(change)


def teacher_by_tensor() -> AbstractContextManager[Any]:
    @torch.no_grad()
    def update(teacher: nn.Module, student: nn.Module, momentum: float) -> None:
        for theirs, ours in zip(teacher.parameters(), student.parameters(), strict=True):
            theirs.mul_(momentum).add_(ours, alpha=1 - momentum)

    return mock.patch("trainers.methods.byol.update_teacher", update)


def forward_per_view() -> AbstractContextManager[Any]:
    def loss(self: SimCLR, views: Sequence[Tensor], at: Progress) -> Step:
        z1, z2 = (self.projection(self.backbone(view)) for view in views)
        return Step(nt_xent(gather(z1), gather(z2), self.temperature), z1.detach(), {})

    return mock.patch.object(SimCLR, "loss", loss)


def views_per_image() -> AbstractContextManager[Any]:
    def per_image(images: Tensor, spec: Any, rng: torch.Generator, make: Any) -> Tensor:
        return torch.cat([augment(image[None], spec, rng, make) for image in images])

    return mock.patch("trainers.training.step.augment", per_image)


COMPLETE = {"simclr": "SimCLR as it is", "byol": "BYOL as it is"}


@dataclass(frozen=True)
class Case:
    """A step without one optimization."""

    method: str = "simclr"
    precision: str = "bf16-mixed"
    without: Callable[[], AbstractContextManager[Any]] = nullcontext
    decodes: bool = False  # decodes its images at every step


CASES = {
    COMPLETE["simclr"]: Case(),
    "in float32": Case(precision="32-true"),
    "freed memory given back": Case(without=without_kept_memory),
    "channels first": Case(without=channels_first),
    "a forward for each view": Case(without=forward_per_view),
    "optimiser tensor by tensor": Case(without=unfused_optimizer),
    "views image by image": Case(without=views_per_image),
    "images decoded for every step": Case(decodes=True),
    COMPLETE["byol"]: Case("byol"),
    "teacher tensor by tensor": Case("byol", without=teacher_by_tensor),
}


def milliseconds(folder: str, case: str, steps: int) -> float:
    """Median time of a step of conv4 with views of 24 px."""
    ablation = CASES[case]
    files = data.list_training_files(folder).training
    files = files[:: max(1, len(files) // (2 * BATCH))][: 2 * BATCH]
    record = Preprocess(size=SIZE, shorter_side=SIZE)
    settings = {
        "method": ablation.method,
        "precision": ablation.precision,
        "batch_size": BATCH,
        "image_size": SIZE,
        "view_size": 24,
    }
    with ablation.without():
        config = on_this_machine(resolve({**settings, "backbone": "conv4", "device": "cpu"}))
        step = TrainingStep(launch(config), build(config), config, BATCH)
        pixels = data.load(files, record).pixels
        times = []
        for number in range(WARM_UP + steps):
            began = time.perf_counter()
            if ablation.decodes:
                pixels = data.load(files[:BATCH], record).pixels
            take_step(step, pixels[torch.randperm(len(pixels))[:BATCH]], AT._replace(step=number)).losses[-1].item()
            times.append(1000 * (time.perf_counter() - began))
    return median(times[WARM_UP:])
