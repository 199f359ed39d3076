"""One step of a training, in the parts that the loop runs one after another and the profile times."""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import Tensor

from featurestore.errors import TrainingError
from trainers.augmentations import augment, transform
from trainers.config.schema import Config
from trainers.methods import Method, Progress, Step
from trainers.optimization.optimizers import clip_each, make_optimizer
from trainers.optimization.schedules import cosine, learning_rate
from trainers.runtime.seeds import mix

# Numbers in the images of views that are made in one call: the many small operations cost the same for all, but all lie in memory as floats.
TOGETHER = 2**27
OUT_OF_MEMORY = ("can't allocate memory", "MPS backend out of memory")  # on a processor; on Apple's GPUs


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
    """Views, forward and backward, and update of one method with its optimiser, on the devices of a launched `fabric`.

    `batch_size` is that of all devices together; `state` is a checkpoint to go on from. Raises TrainingError when a part has fewer than two images.
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
        with _failures_named("the network does", "choose a smaller --backbone or --image-size"):
            self.method = method.to(fabric.device).to(memory_format=torch.channels_last).train()
        self.peak_lr = config.optimizer.lr * batch_size / 256
        self.optimizer = make_optimizer(method, config.optimizer)
        if state is not None:
            method.load_state_dict(state["method"])
            self.optimizer.load_state_dict(state["optimizer"])
        if config.compile:
            for part_of_it in method.compiled:
                part_of_it.compile()
        self._transform = torch.compile(transform) if config.compile and config.device == "cuda" else transform
        network: torch.nn.Module = method
        if fabric.world_size > 1 and config.device == "cuda":  # torch has it for GPUs alone
            network = torch.nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
        self._wrapped, self.optimizer = fabric.setup(network, self.optimizer)
        self._wrapped.mark_forward_method("loss")

    def run(self, batch: Tensor, at: Progress) -> BatchOutput:
        """Take the whole step on a batch, uint8 (B, 3, h, w) on the device; the logs also hold the rate and what `after_step` tells."""
        output = self.forward_backward(self.views(batch, at), at)
        output.logs["lr"] = self.update(at)
        output.logs |= self.after_step(output.carries, at)
        return output

    def views(self, batch: Tensor, at: Progress) -> list[Tensor]:
        """Augment a batch, uint8 (B, 3, h, w) on the device, to the views that the method wants: (B, 3, H, W) each."""
        rng = torch.Generator(batch.device).manual_seed(mix(self.config.seed, at.step, self.fabric.global_rank))
        made: list[Tensor] = []
        with _failures_named(f"the views of {len(batch)} images do", "choose a smaller --batch-size"):
            for spec, alike in groupby(self.method.views):
                count = len(list(alike))
                together = count if count * batch.numel() <= TOGETHER else 1
                images = batch.repeat(together, 1, 1, 1) if together > 1 else batch
                for _ in range(count // together):
                    made += augment(images, spec, rng, self._transform).chunk(together)
        return made

    def forward_backward(self, views: Sequence[Tensor], at: Progress) -> BatchOutput:
        """Run a batch through the network and back, part by part; gradients are left on the parameters."""
        output = BatchOutput()
        parts = self.parts(views)
        for number, part in enumerate(parts):
            with self.fabric.no_backward_sync(self._wrapped, enabled=number < len(parts) - 1):
                step = self.forward(part, at, number)
                self.backward(step.loss * (len(part[0]) / len(views[0])))
            output.add(step)
        return output

    def parts(self, views: Sequence[Tensor]) -> list[tuple[Tensor, ...]]:
        """Divide the views of a batch into the parts that go through the network one after another."""
        return list(zip(*(view.tensor_split(self.config.accumulate) for view in views), strict=True))

    def forward(self, views: Sequence[Tensor], at: Progress, part: int) -> Step:
        """Compute the loss of one part of a batch."""
        seed = mix(self.config.seed, at.step, self.fabric.global_rank, part)
        # Fabric enters the precision by itself for `forward`, and for other methods only where there are several devices.
        with self.fabric.autocast(), self._part_named():
            step: Step = self._wrapped.loss(list(views), at._replace(seed=seed))
        return step

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a loss to those that are there."""
        with self._part_named():
            self.fabric.backward(loss)

    def update(self, at: Progress) -> float:
        """Let the optimiser use the gradients and drop them; returns the learning rate."""
        o = self.config.optimizer
        lr = learning_rate(at.fraction, self.peak_lr, o.warmup, o.schedule)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        if o.weight_decay_end is not None:
            self.optimizer.param_groups[0]["weight_decay"] = cosine(at.fraction, o.weight_decay, o.weight_decay_end)
        with self._part_named():  # momenta are made in the first step
            if o.clip:
                clip_each(self.method.parameters(), o.clip)
            self.optimizer.step()
        self.optimizer.zero_grad()
        return lr

    def after_step(self, carries: Sequence[Tensor], at: Progress) -> dict[str, float]:
        """Move what has no gradient: teacher, queue, centre; returns what is worth logging."""
        return self.method.after_step(torch.cat(list(carries)) if carries else None, at)

    def _part_named(self) -> AbstractContextManager[None]:
        return _failures_named(
            f"{self.part_size} images at once do", "choose a smaller --batch-size, or --accumulate 2 and more"
        )


@contextmanager
def _failures_named(what: str, advice: str) -> Iterator[None]:
    """Say what to do where something does not fit the memory of the device, or cannot be compiled."""
    try:
        yield
    except RuntimeError as error:
        text = str(error)
        if isinstance(error, torch.OutOfMemoryError) or any(words in text for words in OUT_OF_MEMORY):
            raise TrainingError(f"{what} not fit the memory of the device; {advice}") from error
        if type(error).__module__.startswith(("torch._inductor", "torch._dynamo")):
            raise TrainingError(
                f"--compile: {text.strip().splitlines()[0]}; leave it out, or install what is missing"
            ) from error
        raise
