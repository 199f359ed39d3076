"""One step of a training, in the parts that the loop runs one after another and the profile times."""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, NamedTuple

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn

from featurestore.errors import TrainingError
from trainers.augmentations import augment, transform
from trainers.config.schema import Config
from trainers.methods import Method, Progress, Step
from trainers.optimization.optimizers import clip_each, make_optimizer
from trainers.optimization.schedules import cosine, learning_rate
from trainers.runtime.seeds import mix
from trainers.training.checkpoint import load_state
from trainers.training.devices import unscale_gradients
from trainers.training.failures import explain_failures

# Most pixel values augmented in one call. Larger calls are faster, but hold all their views in memory as floats.
TOGETHER = 2**27


class Part(NamedTuple):
    """The part of a batch that goes through the network at once."""

    views: tuple[Tensor, ...]  # (b, 3, H, W) each
    number: int
    share: float  # of the images of the batch
    is_last: bool


@dataclass
class BatchOutput:
    """Losses, projections and carries of the parts of a batch."""

    losses: list[Tensor] = field(default_factory=list)
    projections: list[Tensor] = field(default_factory=list)  # (b, D) each
    carries: list[Tensor] = field(default_factory=list)
    logs: dict[str, float | Tensor] = field(default_factory=dict)  # of the last part

    def add(self, step: Step) -> None:
        self.losses.append(step.loss.detach())
        self.projections.append(step.projections)
        if step.carry is not None:
            self.carries.append(step.carry.detach())
        self.logs.update(step.logs)


class TrainingStep:
    """One method with its optimiser on the devices of a launched `fabric`.

    `batch_size` is that of all devices together; `state` is a checkpoint to go on from. Raises TrainingError when a part of a batch has
    fewer than two images, or when the network does not fit the memory.
    """

    def __init__(
        self, fabric: Fabric, method: Method, config: Config, batch_size: int, state: dict[str, Any] | None = None
    ) -> None:
        self.part_size = batch_size // (fabric.world_size * config.accumulate)  # images
        if self.part_size < 2:
            raise TrainingError(
                f"a batch of {batch_size} in {config.accumulate} parts on {fabric.world_size} devices leaves fewer than 2 images a part; "
                "choose a larger --batch-size or a smaller --accumulate"
            )
        self.fabric, self.config = fabric, config
        with explain_failures("the network", "choose a smaller --backbone or --image-size"):
            self.method = method.to(fabric.device).to(memory_format=torch.channels_last).train()
            self.optimizer = make_optimizer(method, config.optimizer)
        self.peak_lr = config.optimizer.lr * batch_size / 256
        self._unwrapped_optimizer = self.optimizer
        if state is not None:
            load_state(method, self.optimizer, fabric.strategy.precision, state)
        if config.compile:
            for module in method.compiled:
                module.compile()
        self._transform = torch.compile(transform) if config.compile and config.device == "cuda" else transform
        network: nn.Module = method
        if fabric.world_size > 1 and config.device == "cuda":  # torch has it for GPUs alone
            network = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        self._wrapped, self.optimizer = fabric.setup(network, self.optimizer)
        self._wrapped.mark_forward_method("loss")

    def views(self, batch: Tensor, at: Progress) -> list[Tensor]:
        """Augment a batch, uint8 (B, 3, h, w) on the device, to the views that the method wants: (B, 3, H, W) each."""
        rng = torch.Generator(batch.device).manual_seed(mix(self.config.seed, at.step, self.fabric.global_rank))
        made: list[Tensor] = []
        with explain_failures(f"the views of {len(batch)} images", "choose a smaller --batch-size"):
            for spec, alike in groupby(self.method.views):
                count = len(list(alike))
                together = count if count * batch.numel() <= TOGETHER else 1
                images = batch.repeat(together, 1, 1, 1) if together > 1 else batch
                for _ in range(count // together):
                    made += augment(images, spec, rng, self._transform).chunk(together)
        return made

    def parts(self, views: Sequence[Tensor]) -> list[Part]:
        """Divide the views of a batch into `accumulate` parts, which go through the network one after another."""
        parts = list(zip(*(view.tensor_split(self.config.accumulate) for view in views), strict=True))
        return [
            Part(part, number, len(part[0]) / len(views[0]), number == len(parts) - 1)
            for number, part in enumerate(parts)
        ]

    def gradients_of(self, part: Part) -> AbstractContextManager[None]:
        """Average gradients over processes with the last part of a batch only; loss and backward of each part run inside."""
        context: AbstractContextManager[None] = self.fabric.no_backward_sync(self._wrapped, enabled=not part.is_last)
        return context

    def loss(self, part: Part, at: Progress) -> Step:
        """Compute the loss of a part."""
        seed = mix(self.config.seed, at.step, self.fabric.global_rank, part.number)
        # Fabric enters the precision by itself for `forward`, and for other methods only with several devices.
        with self.fabric.autocast(), self._explain_failures():
            step: Step = self._wrapped.loss(list(part.views), at._replace(seed=seed))
        return step

    def backward(self, part: Part, step: Step) -> None:
        """Add the gradients of a part's loss, by its share of the batch, to those already on the parameters."""
        with self._explain_failures():
            self.fabric.backward(step.loss * part.share)

    def update(self, at: Progress) -> float:
        """Let the optimiser apply the gradients, and clear them; returns the learning rate."""
        o = self.config.optimizer
        lr = learning_rate(at.fraction, self.peak_lr, o.warmup, o.schedule)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        if o.weight_decay_end is not None:
            self.optimizer.param_groups[0]["weight_decay"] = cosine(at.fraction, o.weight_decay, o.weight_decay_end)
        with self._explain_failures():  # the first step allocates the optimiser's state
            if o.clip:
                unscale_gradients(self.fabric, self._unwrapped_optimizer)
                clip_each(self.method.parameters(), o.clip)
            self.optimizer.step()
        self.optimizer.zero_grad()
        return lr

    def after_step(self, carries: Sequence[Tensor], at: Progress) -> dict[str, float]:
        """Move what has no gradient: teacher, queue, centre; returns figures for the log."""
        return self.method.after_step(torch.cat(list(carries)) if carries else None, at)

    def _explain_failures(self) -> AbstractContextManager[None]:
        return explain_failures(
            f"a step with {self.part_size} images", "choose a smaller --batch-size, or --accumulate 2 and more"
        )
