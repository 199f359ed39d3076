"""One step of a training, in the parts that the loop runs one after another and the profile times."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import torch
from lightning.fabric import Fabric
from torch import Tensor

from featurestore.errors import TrainingError
from trainers.config import Config
from trainers.methods import Method, Progress, Step
from trainers.optim import clip_each, make_optimizer
from trainers.randomness import mix
from trainers.schedules import cosine, learning_rate
from trainers.views import Draws, normalise, transform


@dataclass
class Learned:
    """What all parts of a batch said."""

    losses: list[Tensor] = field(default_factory=list)
    projections: list[Tensor] = field(default_factory=list)  # (b, D) each
    carries: list[Tensor] = field(default_factory=list)
    logs: dict[str, Tensor] = field(default_factory=dict)  # of the last


class TrainingStep:
    """Views, forward and backward, and update of one method with its optimiser, on the devices of a launched `fabric`.

    `batch_size` is that of all devices together. Raises TrainingError when it leaves a part with fewer than two images.
    """

    def __init__(self, fabric: Fabric, method: Method, config: Config, batch_size: int) -> None:
        self.part_size = batch_size // (fabric.world_size * config.accumulate)  # images
        if self.part_size < 2:
            raise TrainingError(
                f"a batch of {batch_size} in {config.accumulate} parts on {fabric.world_size} devices leaves fewer than 2 images a part; "
                "choose a larger --batch-size or a smaller --accumulate"
            )
        self.fabric, self.config = fabric, config
        self.method = method.to(fabric.device).to(memory_format=torch.channels_last).train()
        self.peak_lr = config.optimizer.lr * batch_size / 256
        self.optimizer = make_optimizer(method, config.optimizer)
        self._wrapped: Any = None
        self._transform = torch.compile(transform) if config.compile and config.device == "cuda" else transform

    def start(self, state: dict[str, Any] | None) -> None:
        """Go on from a checkpoint, if there is one, and hand the network to the devices."""
        if state is not None:
            self.method.load_state_dict(state["method"])
            self.optimizer.load_state_dict(state["optimizer"])
        if self.config.compile:
            for part_of_it in self.method.compiled:
                part_of_it.compile()
        network: torch.nn.Module = self.method
        if self.fabric.world_size > 1 and self.config.device == "cuda":  # torch has it for GPUs alone
            network = torch.nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        self._wrapped, self.optimizer = self.fabric.setup(network, self.optimizer)
        self._wrapped.mark_forward_method("loss")
        self._wrapped.mark_forward_method("loss")

    def views(self, batch: Tensor, at: Progress) -> list[Tensor]:
        """Augment a batch, uint8 (B, 3, h, w) on the device, to the views that the method wants: (B, 3, H, W) each."""
        rng = torch.Generator(batch.device).manual_seed(mix(self.config.seed, at.step, self.fabric.global_rank))
        return [normalise(self._transform(batch, spec, Draws(len(batch), rng))) for spec in self.method.views]

    def learn(self, views: Sequence[Tensor], at: Progress) -> Learned:
        """Run the batch through the network and back, in as many parts as memory wants; gradients are left on the parameters."""
        learned = Learned()
        count, accumulate = len(views[0]), self.config.accumulate
        for part, part_views in enumerate(zip(*(view.tensor_split(accumulate) for view in views), strict=True)):
            with (
                self.fabric.no_backward_sync(self._wrapped, enabled=part < accumulate - 1),
                _memory_named(len(part_views[0])),
            ):
                step = self.forward(part_views, at, part)
                self.backward(step.loss * (len(part_views[0]) / count))
            learned.losses.append(step.loss.detach())
            learned.projections.append(step.projections)
            if step.carry is not None:
                learned.carries.append(step.carry.detach())
        learned.logs = step.logs
        return learned

    def forward(self, views: Sequence[Tensor], at: Progress, part: int = 0) -> Step:
        """Compute the loss of one part of a batch."""
        seed = mix(self.config.seed, at.step, self.fabric.global_rank, part)
        with (
            self.fabric.autocast()
        ):  # which a forward method other than `forward` gets from Fabric on several devices alone
            step: Step = self._wrapped.loss(list(views), at._replace(seed=seed))
        return step

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a loss to those that are there."""
        self.fabric.backward(loss)

    def update(self, at: Progress) -> float:
        """Let the optimiser use the gradients and drop them; returns the learning rate."""
        o = self.config.optimizer
        lr = learning_rate(at.fraction, self.peak_lr, o.warmup, o.schedule)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        if o.weight_decay_end is not None:
            self.optimizer.param_groups[0]["weight_decay"] = cosine(at.fraction, o.weight_decay, o.weight_decay_end)
        if o.clip:
            clip_each(self.method.parameters(), o.clip)
        self.optimizer.step()
        self.optimizer.zero_grad()
        return lr

    def follow(self, carries: Sequence[Tensor], at: Progress) -> dict[str, float]:
        """Move what has no gradient: teacher, queue, centre; returns what is worth logging."""
        return self.method.after_step(torch.cat(list(carries)) if carries else None, at)


@contextmanager
def _memory_named(images: int) -> Iterator[None]:
    """Say what to do where a step does not fit the memory of the device."""
    try:
        yield
    except torch.OutOfMemoryError as error:
        raise TrainingError(
            f"{images} images at once do not fit the memory of the device; choose a smaller --batch-size, or --accumulate 2 and more"
        ) from error
