"""Which network and settings give the best encoder after ten minutes on two cores? Trains on any device, on as many images as two cores would see.

    python -m benchmarks.training.networks speed > SPEEDS.json
    python -m benchmarks.training.networks accuracy DATA SPEEDS.json --seconds 450

`speed` times forward and backward of SimCLR on this processor. `accuracy` trains each trial on as many images as its network would see in
that time (less a tenth for the rest of a step) and prints k-NN top-1 of the test images. Trials with the same views are trained together.
"""

import json
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from typing import Any

import click
import torch
import torch.nn.functional as F
from torch import Tensor

from benchmarks.tables import table
from benchmarks.training.candidate_networks import NETWORKS
from featurestore.imaging.preprocess import Preprocess
from trainers.augmentations import ViewSpec, augment, two_views
from trainers.config.machine import find_device
from trainers.config.resolve import resolve
from trainers.data import images as data
from trainers.losses import in_float32, nt_xent
from trainers.models.backbones import feature_dim
from trainers.models.heads import simclr_projection
from trainers.optimization.optimizers import OptimizerConfig, make_optimizer
from trainers.optimization.schedules import learning_rate
from trainers.runtime import memory
from trainers.training.labelled_sample import take_sample
from trainers.training.monitor import knn_monitor

SIZE, BATCH, STEPS = 32, 256, 9  # for timing
SHARE = 0.9  # forward and backward, as a share of a step
Loss = Callable[[Tensor, Tensor, float], Tensor]


@in_float32
def decoupled(z1: Tensor, z2: Tensor, temperature: float) -> Tensor:
    """NT-Xent without the positive in the denominator (Yeh et al. 2022, section 3)."""
    z = F.normalize(torch.cat([z1, z2]).float(), dim=1)
    n, logits = len(z1), z @ z.T / temperature
    itself = torch.eye(2 * n, dtype=torch.bool, device=z.device)
    negatives = torch.logsumexp(logits.masked_fill(itself | itself.roll(n, 0), float("-inf")), dim=1)
    return (negatives - torch.cat([logits.diagonal(n), logits.diagonal(-n)])).mean()


@dataclass(frozen=True)
class Trial:
    """A SimCLR training. A trial tries what differs from the defaults."""

    name: str
    network: str = "conv4"
    lr: float = 0.2
    temperature: float = 0.2
    weight_decay: float = 5e-4
    loss: Loss = nt_xent
    hidden: int = 512
    dim: int = 128
    layers: int = 2
    optimizer: str = "sgd"
    batch: int = 256
    view: int = SIZE  # pixels
    speedup: float = 1.0  # from smaller views, in images a second
    augment: dict[str, float] = field(default_factory=dict)

    def views(self) -> tuple[ViewSpec, ...]:
        augmentation = resolve({"method": "simclr", "image_size": SIZE, "augment": self.augment}).augment
        return two_views(augmentation, self.view)


BEST = "residual 32, 64-128-256"  # of the residual networks at this speed
STRONG = {"brightness": 0.8, "contrast": 0.8, "saturation": 0.8, "hue": 0.2}
TRIALS = [
    *(Trial(name, network=name) for name in NETWORKS),
    Trial("lr 0.1", lr=0.1),
    Trial("lr 0.4", lr=0.4),
    Trial("lr 0.8", lr=0.8),
    Trial("adamw, lr 3e-3, decay 0.05", optimizer="adamw", lr=3e-3, weight_decay=0.05),
    Trial("temperature 0.1", temperature=0.1),
    Trial("temperature 0.5", temperature=0.5),
    Trial("weight decay 1e-4", weight_decay=1e-4),
    Trial("weight decay 2e-3", weight_decay=2e-3),
    Trial("decoupled loss", loss=decoupled),
    Trial("head of 2048, 256", hidden=2048, dim=256),
    Trial("head of three layers", layers=3),
    Trial("batch 128", batch=128),
    Trial("batch 512", batch=512),
    Trial("crops from 8 %", augment={"crop_min": 0.08}),
    Trial("crops from 35 %", augment={"crop_min": 0.35}),
    Trial("jitter of full strength", augment=STRONG),
    Trial("views of 28 px", view=28, speedup=1.3),
    Trial("views of 24 px", view=24, speedup=1.75),
    Trial("views of 20 px", view=20, speedup=2.4),
    Trial("views of 16 px", view=16, speedup=3.2),
    Trial("views of 24 px, 48 wide", network="conv4, 48 wide", view=24, speedup=1.75),
    Trial("views of 24 px, residual", network=BEST, view=24, speedup=1.55),
    Trial("views of 24 px, decoupled loss", loss=decoupled, view=24, speedup=1.75),
    Trial("views of 24 px, crops from 35 %", view=24, speedup=1.75, augment={"crop_min": 0.35}),
]


class Training:
    """A trial's network, head and optimiser; it sees `images` images."""

    def __init__(self, trial: Trial, images: float, device: torch.device, seed: int) -> None:
        torch.manual_seed(seed)
        self.trial, self.images = trial, images
        self.network = NETWORKS[trial.network]().to(device).to(memory_format=torch.channels_last).train()
        self.head = simclr_projection(feature_dim(self.network), trial.hidden, trial.dim, trial.layers).to(device)
        self.peak = trial.lr * trial.batch / 256
        settings: Any = {"name": trial.optimizer, "lr": self.peak, "weight_decay": trial.weight_decay}
        self.optimizer = make_optimizer(torch.nn.ModuleList([self.network, self.head]), OptimizerConfig(**settings))

    def step(self, views: Tensor, fraction: float) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(fraction, self.peak, 0.1, "cosine")
        with torch.autocast(views.device.type, torch.bfloat16):
            z = self.head(self.network(views))
        z1, z2 = z.chunk(2)
        torch.autograd.backward(self.trial.loss(z1, z2, self.trial.temperature))
        self.optimizer.step()
        self.optimizer.zero_grad()


@click.group()
def cli() -> None:
    pass


@cli.command()
def speed() -> None:
    """Print images a second of each network, forward and backward, as JSON."""
    memory.keep_freed()
    device = torch.device("cpu")
    speeds = {}
    for name in NETWORKS:
        training = Training(Trial(name, network=name), 1, device, seed=0)
        views = torch.randn(2 * BATCH, 3, SIZE, SIZE).contiguous(memory_format=torch.channels_last)
        times = []
        for _ in range(STEPS):
            began = time.perf_counter()
            training.step(views, 0.5)
            times.append(time.perf_counter() - began)
        speeds[name] = round(BATCH / statistics.median(times[2:]))
        click.echo(f"{name}: {speeds[name]}", err=True)
    click.echo(json.dumps(speeds))


@cli.command()
@click.argument("folder", metavar="DATA", type=click.Path(exists=True, path_type=Path))
@click.argument("speeds", type=click.Path(exists=True, path_type=Path))
@click.option(
    "--seconds", default=450.0, show_default=True, help="Simulated seconds of training on the timed processor."
)
@click.option("--trial", "names", multiple=True, help="Only these trials.")
@click.option("--seed", default=0, show_default=True)
def accuracy(folder: Path, speeds: Path, seconds: float, names: tuple[str, ...], seed: int) -> None:
    """Print k-NN top-1 (k = 20, T = 0.07) of each trial as a table."""
    device = torch.device(find_device("auto"))
    files = data.list_training_files(folder)
    record = Preprocess(size=SIZE, shorter_side=SIZE)
    bank, queries = data.load(files.training, record), data.load(files.held_back, record)
    top1 = knn_monitor(take_sample(bank, queries, len(bank.files)), record.mean, record.std, whiten=True)
    pixels = bank.pixels.to(device)
    by_network = json.loads(speeds.read_text())
    trials = [trial for trial in TRIALS if not names or trial.name in names]
    rows = []
    for (batch, views), group in groupby(trials, key=lambda trial: (trial.batch, trial.views())):
        running = [Training(t, by_network[t.network] * t.speedup * SHARE * seconds, device, seed) for t in group]
        for training in train_together(running, pixels, batch, views, seed):
            share = top1(training.network)["knn_top1"]
            rows.append([training.trial.name, f"{training.images / 1000:.0f}k", f"{share:.3f}"])
            click.echo(" ".join(rows[-1]), err=True)
    table(["trial", "images seen", "k-NN 20"], rows)


def train_together(
    running: list[Training], pixels: Tensor, batch: int, views: tuple[ViewSpec, ...], seed: int
) -> list[Training]:
    """Train several networks on the same views, each until it has seen its number of images."""
    rng = torch.Generator(pixels.device).manual_seed(seed)
    steps = {training: round(training.images / batch) for training in running}
    for step in range(max(steps.values())):
        rows = torch.randint(len(pixels), (batch,), device=pixels.device, generator=rng)
        both = torch.cat([augment(pixels[rows], view, rng) for view in views])
        for training, most in steps.items():
            if step < most:
                training.step(both, step / most)
    return running


if __name__ == "__main__":
    cli()
