"""The loop of fine-tuning, read from top to bottom."""

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor, nn

from featurestore.errors import TrainingError
from featurestore.progress import Listener
from trainers.augmentations import ViewSpec, augment, normalise
from trainers.data.images import batches
from trainers.data.labelled import Labelled
from trainers.finetuning.network import Classifier
from trainers.finetuning.recipe import Recipe
from trainers.optimization.schedules import learning_rate
from trainers.runtime.seeds import mix, seeded
from trainers.training.loop import Clock

LOOKS = 10  # at the network while it trains


def fit(
    fabric: Fabric,
    network: Classifier,
    images: Labelled,
    recipe: Recipe,
    spec: ViewSpec,
    seed: int,
    look: Callable[[Classifier, dict[str, Any]], None],
    listener: Listener,
) -> Classifier:
    """Train `network` on labelled images and return the running average of its weights, in evaluation mode.

    `look` is called some ten times, and at the end, with that average and the figures of the training. Raises TrainingError when the loss is no number.
    """
    network = network.to(fabric.device).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(_groups(network, recipe), lr=recipe.lr, fused=True)
    kept = copy.deepcopy(network).eval()
    batch_size = min(recipe.batch_size, len(images))
    clock = Clock(len(images) // batch_size, recipe.epochs, recipe.minutes)
    wrapped, optimizer = fabric.setup(network, optimizer)
    listener.start("training", None if recipe.minutes else recipe.epochs * clock.steps_per_epoch)
    looked = 0
    while not clock.done:
        losses: list[Tensor] = []
        for rows in batches(len(images), batch_size, seed, clock.step // clock.steps_per_epoch):
            at = clock.now()
            _set_rates(network, optimizer, recipe, at.fraction)
            rng = torch.Generator(fabric.device).manual_seed(mix(seed, at.step))
            pixels, codes = images.pixels[rows].to(fabric.device), images.codes[rows].to(fabric.device)
            with seeded(mix(seed, at.step, 1), fabric.device):  # drop-path
                logits = wrapped(augment(pixels, spec, rng))
            loss = F.cross_entropy(logits.float(), codes, label_smoothing=recipe.smoothing)
            fabric.backward(loss)
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.detach())
            clock.tick()
            follow(kept, network, momentum_at(clock.step, recipe.average))
            listener.advance(1, f"epoch {at.epoch + 1}")
            if clock.done:
                break
        if clock.done or int(clock.fraction * LOOKS) > looked:
            looked = int(clock.fraction * LOOKS)
            figures = {
                "epoch": at.epoch + 1,
                "step": clock.step,
                "loss": _finite(torch.stack(losses).mean()),
                "seconds": round(clock.seconds, 2),
            }
            look(kept, figures)
    return kept


def momentum_at(step: int, most: float) -> float:
    """The momentum of the average after a number of steps: at first it forgets quickly, for the start is not worth remembering."""
    return min(most, step / (step + 10))


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, momentum: float) -> None:
    """Move the average of weights and BatchNorm statistics: average = momentum * average + (1 - momentum) * network."""
    kept, current = (
        [tensor for tensor in module.state_dict().values() if tensor.is_floating_point()]
        for module in (average, network)
    )
    torch._foreach_lerp_(kept, current, 1 - momentum)


def _groups(network: Classifier, recipe: Recipe) -> list[dict[str, Any]]:
    """Parameters by whether they were learned before and whether they decay: biases and norms never do."""
    learned = list(network.learned())
    known = {id(parameter) for parameter in learned}
    new = [parameter for parameter in network.parameters() if id(parameter) not in known]
    return [
        {
            "params": [p for p in parameters if (p.ndim > 1) == decays],
            "weight_decay": recipe.weight_decay if decays else 0.0,
            "share": share,
        }
        for parameters, share in ((learned, recipe.learned), (new, 1.0))
        for decays in (True, False)
    ]


def _set_rates(network: Classifier, optimizer: torch.optim.Optimizer, recipe: Recipe, fraction: float) -> None:
    """Let the rates follow their schedule, and what was learned before stand still while the new layers find their feet."""
    moving = fraction >= recipe.frozen
    for parameter in network.learned():
        parameter.requires_grad_(moving)
    lr = learning_rate(fraction, recipe.lr, recipe.warmup, "cosine")
    for group in optimizer.param_groups:
        group["lr"] = lr * group["share"]


@torch.no_grad()
def logits_of(network: nn.Module, pixels: Tensor, batch_size: int = 512) -> NDArray[np.float32]:
    """Logits of a network in evaluation mode: uint8 (N, 3, H, W) to float32 (N, C)."""
    device = next(network.parameters()).device
    return torch.cat(
        [network(normalise(part.to(device).float() / 255)).float().cpu() for part in torch.split(pixels, batch_size)]
    ).numpy()


def _finite(loss: Tensor) -> float:
    value = loss.item()
    if not np.isfinite(value):
        raise TrainingError(f"the loss became {value}; likely cure: --head linear, or another --seed")
    return value
