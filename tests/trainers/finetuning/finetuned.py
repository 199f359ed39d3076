"""A run to fine-tune and images to do it with, small enough for a test."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from tests.trainers.small import config_of
from trainers.training import checkpoint
from trainers.training.setup import build

COLOURS = {"cold": (40, 60, 200), "warm": (210, 90, 30), "leaf": (60, 180, 70)}
SIDE = 16  # pixels


def write_run(folder: Path, name: str = "simclr", seed: int = 0) -> Path:
    """Write what fine-tuning reads of a run: a checkpoint with weights of `seed`, and its configuration."""
    folder.mkdir()
    config = config_of(name, backbone="conv4")
    torch.manual_seed(seed)
    state = {"method": build(config).state_dict(), "images": 10, "sha256": "ab" * 32, "step": 1, "seconds": 1.0}
    checkpoint.save(folder / "checkpoint.pt", state)
    (folder / "config.toml").write_text(config.to_toml())
    return folder


def write_colours(folder: Path, train: int = 8, test: int = 4, names: tuple[str, ...] = ("cold", "warm")) -> Path:
    """Write noisy pictures, one colour a class, as <split>/<class>/<number>.png; without a split where `test` is 0."""
    rng = np.random.default_rng(0)
    for split, count in (("train", train), ("test", test)) if test else (("", train),):
        for name in names:
            (folder / split / name).mkdir(parents=True)
            for number in range(count):
                noise = np.array(COLOURS[name]) + rng.integers(-30, 31, (SIDE, SIDE, 3))
                Image.fromarray(noise.clip(0, 255).astype(np.uint8)).save(folder / split / name / f"{number:02d}.png")
    return folder
