"""One training with lightly or lightly-train, and the figures of its encoder; `benchmarks.evaluation.rivals` runs it in a process of its own.

    python -m benchmarks.evaluation.rival_trainings lightly COLLECTION RUN MINUTES RESULT.json

Network, first weights and image size are those of RUN, a training of ours on the same collection; where ours trained a smaller network beside
known weights, the rival trains the network of these.
"""

import copy
import json
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from trainers.config.parse import read_settings
from trainers.config.recipes import batch_of
from trainers.config.resolve import resolve
from trainers.config.schema import Config
from trainers.data import images
from trainers.training.contenders import start_network, untrained
from trainers.training.features import finished
from trainers.training.labelled_sample import encode, few_labels_top1, knn_right, samples
from trainers.training.setup import preprocess_of

TRIED = 0.1  # of the minutes, in which the speed of lightly-train is found
FORMS = {"plain": False, "whitened": True}


def train_lightly(network: nn.Module, folder: Path, size: int, batch_size: int, minutes: float) -> None:
    """Train a network with lightly."""
    from benchmarks.training.lightly_training import take_steps, training_of

    take_steps(training_of(network, folder, "simclr", size, batch_size), minutes)


def train_lightly_train(network: nn.Module, folder: Path, size: int, batch_size: int, minutes: float) -> None:
    """Train a network with lightly-train, whose schedule is one of epochs: as many as the speed of a short training promises."""
    tried = Wrapped(copy.deepcopy(network))
    _pretrain(tried, folder, size, batch_size, minutes * TRIED, epochs=10_000)
    count = len(images.list_training_files(folder).training)
    _pretrain(Wrapped(network), folder, size, batch_size, minutes, epochs=max(1, round(tried.images / TRIED / count)))


class Wrapped(nn.Module):
    """A convolutional network as lightly-train takes one: its map, and the mean over it; it counts the images of its training."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network
        self.images = 0.0

    def get_model(self) -> nn.Module:
        model: nn.Module = self.network
        return model

    def feature_dim(self) -> int:
        return int(self.network.num_features)

    def forward_features(self, x: Tensor) -> dict[str, Tensor]:
        self.images += len(x) / 2  # two views of each
        layers = getattr(self.network, "layers", None) or self.network.forward_features
        return {"features": layers(x)}

    def forward_pool(self, x: dict[str, Tensor]) -> dict[str, Tensor]:
        return {"pooled_features": x["features"].mean(dim=(2, 3), keepdim=True)}


def _pretrain(network: Wrapped, folder: Path, size: int, batch_size: int, minutes: float, epochs: int) -> None:
    import lightly_train

    with tempfile.TemporaryDirectory() as out:
        lightly_train.pretrain(
            out=Path(out, "run"),
            data=folder,
            model=network,
            method="simclr",
            epochs=epochs,
            batch_size=batch_size,
            num_workers=2,
            accelerator="cpu",
            transform_args={"image_size": (size, size)},
            trainer_args={"max_time": {"seconds": 60 * minutes}},
        )


TRAIN = {"lightly": train_lightly, "lightly-train": train_lightly_train}


def as_given(config: Config) -> Config:
    """Give the settings of a training of the known network itself, where another was trained beside it."""
    if config.base is None:
        return config
    known = {"init": config.base, "backbone": config.base_backbone, "image_size": config.base_size, "stem": "published"}
    return replace(config, **known, base=None, base_backbone=None, base_size=None, view_size=None)  # type: ignore[arg-type]


def start_of(config: Config) -> nn.Module:
    """Build the network of a training with its first weights."""
    return untrained(config).network if config.init is None else start_network(config)


def measure(network: nn.Module, folder: Path, config: Config) -> dict[str, dict[str, float | None]]:
    """Measure vectors as they are, and half-whitened, as the end of our training measures ours."""
    files, record = images.list_training_files(folder), preprocess_of(config)
    loaded = replace(images.load(files.training, record), held_back=images.load(files.held_back, record))
    sample, _ = samples(loaded, config.image_size)
    assert sample is not None
    encoded = encode(sample, network.eval(), record.mean, record.std)
    found = {}
    for form, whiten in FORMS.items():
        x = finished(*encoded, whiten=whiten)
        found[form] = {"knn_top1": float(knn_right(sample, *x).mean()), "few_labels_top1": few_labels_top1(sample, *x)}
    return found


def main(rival: str, folder: Path, run: Path, minutes: float, result: Path) -> None:
    """Train a rival of a run and write its figures."""
    config = as_given(resolve(read_settings(run)))
    torch.manual_seed(config.seed)
    network = start_of(config)
    count = len(images.list_training_files(folder).training)
    batch_size = batch_of(count, config.image_size)
    TRAIN[rival](network, folder / "train", config.image_size, batch_size, minutes)
    partial = result.with_suffix(".part")
    partial.write_text(json.dumps(measure(network, folder, config)))
    partial.rename(result)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]), float(sys.argv[4]), Path(sys.argv[5]))
