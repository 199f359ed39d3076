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
from trainers.data.labelled import LabelledImages
from trainers.data.loader import Loader
from trainers.finetuning.network import ClassifierNetwork
from trainers.finetuning.recipe import FinetuningRecipe
from trainers.optimization.schedules import learning_rate
from trainers.runtime.seeds import mix, seeded
from trainers.training.clock import Clock

LOOKS = 10  # times that `look` is called while a network trains


def fit(
    fabric: Fabric,
    network: ClassifierNetwork,
    images: LabelledImages,
    recipe: FinetuningRecipe,
    spec: ViewSpec,
    seed: int,
    look: Callable[[ClassifierNetwork, dict[str, Any]], None],
    listener: Listener,
) -> ClassifierNetwork:
    """Train `network` on labelled images and return the running average of its weights, in evaluation mode.

    `look` is called about ten times, and at the end, with that average and the figures of the training. Raises TrainingError when the loss is
    not a finite number.
    """
    network = network.to(fabric.device).to(memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(_groups(network, recipe), lr=recipe.lr, fused=True)
    average = copy.deepcopy(network).eval()
    batch_size = min(recipe.batch_size, len(images))
    loader = Loader(images.pixels, fabric.device, batch_size, seed)
    clock = Clock(loader.steps_per_epoch, recipe.epochs, recipe.minutes)
    wrapped, optimizer = fabric.setup(network, optimizer)
    listener.start("training", None if recipe.minutes else recipe.epochs * clock.steps_per_epoch)
    looks = 0
    while not clock.done:
        losses: list[Tensor] = []
        epoch = clock.epoch
        for pixels, rows in zip(loader.epoch(epoch), loader.rows(epoch), strict=True):
            at = clock.now()
            _set_rates(network, optimizer, recipe, at.fraction)
            rng = torch.Generator(fabric.device).manual_seed(mix(seed, at.step))
            with seeded(mix(seed, at.step, 1), fabric.device):  # drop-path
                logits = wrapped(augment(pixels, spec, rng))
            codes = images.codes[rows.cpu()].to(fabric.device)
            loss = F.cross_entropy(logits.float(), codes, label_smoothing=recipe.smoothing)
            fabric.backward(loss)
            optimizer.step()
            optimizer.zero_grad()
            losses.append(loss.detach())
            clock.tick()
            follow(average, network, momentum_at(clock.step, recipe.average))
            listener.advance(1, f"epoch {epoch + 1}")
            if clock.done:
                break
        if clock.done or int(clock.fraction * LOOKS) > looks:
            looks = int(clock.fraction * LOOKS)
            loss_so_far, seconds = _finite(torch.stack(losses).mean()), round(clock.seconds, 2)
            look(average, {"epoch": epoch + 1, "step": clock.step, "loss": loss_so_far, "seconds": seconds})
    return average


def momentum_at(step: int, most: float) -> float:
    """Give the momentum of the average after a number of steps: at first it is small, so that the average forgets the start."""
    return min(most, step / (step + 10))


@torch.no_grad()
def follow(average: nn.Module, network: nn.Module, momentum: float) -> None:
    """Move the average of weights and BatchNorm statistics: average = momentum * average + (1 - momentum) * network."""
    averaged, current = (
        [tensor for tensor in module.state_dict().values() if tensor.is_floating_point()]
        for module in (average, network)
    )
    torch._foreach_lerp_(averaged, current, 1 - momentum)


def _groups(network: ClassifierNetwork, recipe: FinetuningRecipe) -> list[dict[str, Any]]:
    """Group the parameters: pretrained or new, with weight decay or, for biases and norms, without."""
    pretrained = list(network.pretrained())
    known = {id(parameter) for parameter in pretrained}
    new = [parameter for parameter in network.parameters() if id(parameter) not in known]
    return [
        {
            "params": [p for p in parameters if (p.ndim > 1) == decays],
            "weight_decay": recipe.weight_decay if decays else 0.0,
            "share": share,
        }
        for parameters, share in ((pretrained, recipe.learned), (new, 1.0))
        for decays in (True, False)
    ]


def _set_rates(
    network: ClassifierNetwork, optimizer: torch.optim.Optimizer, recipe: FinetuningRecipe, fraction: float
) -> None:
    """Set the learning rates of the schedule; the pretrained layers stay frozen at the start, until the new ones are useful."""
    moves = fraction >= recipe.frozen
    for parameter in network.pretrained():
        parameter.requires_grad_(moves)
    lr = learning_rate(fraction, recipe.lr, recipe.warmup, "cosine")
    for group in optimizer.param_groups:
        group["lr"] = lr * group["share"]


@torch.no_grad()
def logits_of(network: ClassifierNetwork, pixels: Tensor, batch_size: int = 512) -> NDArray[np.float32]:
    """Compute the logits of a network in evaluation mode: uint8 (N, 3, H, W) to float32 (N, C)."""
    device = next(network.parameters()).device
    return torch.cat(
        [
            network(normalise(part.to(device).float() / 255, network.mean, network.std)).float().cpu()
            for part in torch.split(pixels, batch_size)
        ]
    ).numpy()


def _finite(loss: Tensor) -> float:
    value = loss.item()
    if not np.isfinite(value):
        raise TrainingError(f"the loss became {value}; likely cure: --head linear, or another --seed")
    return value
