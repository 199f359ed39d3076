"""Four methods on CIFAR-10 against published figures, on one accelerator: ResNet-18, 200 epochs, batch 512, k-NN (k = 200, T = 0.1).

    python -m benchmarks.gpu DATA OUT [--method NAME ...] [--epochs 200] [--minutes 25]

DATA holds train/<class>/ and test/<class>/. Each method trains without labels, by its recipe of `benchmarks.gpu_recipes`, in a folder of OUT; then the test images
are classified by the training images with plain vectors, as the published ones are. The same command again goes on: methods in
OUT/figures.json are not trained again, and an interrupted training is resumed. A method that does not fit into what is left of the minutes is
not started. Prints Markdown: the table, then what differs from the published recipes. Runs on a processor too, for a try with --epochs 1 on
few images.
"""

import json
import math
import statistics
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.gpu_recipes import COMMON, RECIPES
from benchmarks.machine import device_name, versions
from benchmarks.tables import table
from featurestore.errors import FeatureStoreError, SourceError
from featurestore.estimators.knn import neighbours, rank_classes
from featurestore.metrics.statistics import wilson
from featurestore.progress import Listener, ProgressBar
from featurestore.system.disk import create_folder, write_text
from featurestore.system.text import counted
from trainers.config.machine import find_device
from trainers.config.parse import merge
from trainers.config.schema import Config
from trainers.config.settle import settle
from trainers.data import images as data
from trainers.run import Run, train
from trainers.training import checkpoint, metrics_file
from trainers.training.features import features
from trainers.training.profile import profile
from trainers.training.setup import build, preprocess_of
from trainers.training.speed import images_per_second

K, TEMPERATURE = 200, 0.1
EPOCHS = 200  # of the published trainings
AROUND = 1.5  # minutes of a method beside its steps: decoding, compiling, the encoder file, k-NN
FIGURES = "figures.json"

DIFFERENCES = (
    "images as DATA has them: the copies of CIFAR-10 at hand are JPEGs of quality 75, which cost accuracy; published: the original pixels",
    "k-NN after the last epoch; lightly: the best of all epochs, which is higher",
    "bfloat16 where the device has it; published: float32 or TF32",
    "views are made on the device: crops bilinear and without antialiasing (DINO published: bicubic), jitter as one map that is clipped once",
    "weight decay on matrices and kernels alone; published: on biases and norms too",
    "the last norm of each residual block starts at zero; published: at one",
    "BatchNorm has the statistics of whole training images, as in every encoder here; published: running ones of crops",
    "the learning rate falls every step, and the teacher moves after a step; published: every epoch, and before it",
    "one seed",
)


@dataclass(frozen=True)
class Figure:
    """What was measured of a method."""

    knn: float
    low: float  # 95 % interval
    high: float
    epochs: int
    minutes: float  # of training, over all resumed parts
    images_per_second: float  # median epoch
    train_images: int
    test_images: int
    device: str
    versions: str


def settings_of(method: str, epochs: int) -> dict[str, Any]:
    """The settings of a training by the published recipe; compiled on a GPU, which changes its speed alone."""
    own = {"method": method, "epochs": epochs, "compile": find_device("auto") == "cuda"}
    return merge(merge(COMMON, RECIPES[method].settings), own)


def minutes_left(source: Path, config: Config, images: int, run: Path) -> float:
    """Estimate how long a training will still take, from its own epochs, else from a few steps with random weights."""
    epochs = metrics_file.read(run / "metrics.jsonl")
    if epochs:
        speed = median_speed(epochs)
    elif config.compile:  # what is compiled now need not be compiled in the training
        speed = profile(source, steps=1, config=config.to_table()).images_per_second
    else:
        speed = images_per_second(config, images, sys.float_info.min)
    done = float(epochs[-1]["fraction"]) if epochs else 0.0
    return AROUND + (1 - done) * config.epochs * images / speed / 60 if speed else math.inf


def median_speed(epochs: Sequence[Mapping[str, Any]]) -> float:
    """Images a second of the median epoch."""
    return statistics.median(float(line["images_per_second"]) for line in epochs)


def plain_vectors(run: Run, images: data.Images) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Encode the training and the test images by the network that the run exports, at unit length, not whitened: (N, D) and (M, D)."""
    assert images.held_back is not None
    method = build(run.config)
    checkpoint.load_weights(method, checkpoint.load(run.out / "checkpoint.pt")["method"], run.out)
    network, record = method.export_backbone.to(torch.device(run.config.device)), preprocess_of(run.config)
    bank, queries = (
        features(network, part.pixels, mean=record.mean, std=record.std) for part in (images, images.held_back)
    )
    return bank, queries


def named_rightly(bank: NDArray[np.float32], queries: NDArray[np.float32], images: data.Images) -> NDArray[np.bool_]:
    """Tell for each test image whether the vote of its K nearest training images names its class: (M,). bank (N, D), queries (M, D)."""
    assert images.held_back is not None
    names, labels = np.unique([file.label or "" for file in images.files], return_inverse=True)
    truth = np.array([file.label or "" for file in images.held_back.files])
    scores, rows = neighbours(bank, queries, min(K, len(bank)))
    predicted = rank_classes(scores, labels[rows], len(names), TEMPERATURE, top=1)[:, 0]
    return np.asarray(names[predicted] == truth)


def measure(source: Path, out: Path, settings: Mapping[str, Any], images: data.Images, listener: Listener) -> Figure:
    """Train in the folder `out`, or go on there, and measure k-NN. Raises the errors of `train`."""
    resume = (out / "checkpoint.pt").exists()
    run = train(source, out, resume=resume, config=settings, whiten=False, export="own", listener=listener)
    torch.compiler.reset()  # torch stops compiling after eight variants of a function, and the next method has variants of its own
    listener.start("k-NN of the test images", None)
    right = named_rightly(*plain_vectors(run, images), images)
    return Figure(
        float(right.mean()),
        *wilson(right),
        run.config.epochs,
        float(run.metrics[-1]["seconds"]) / 60,
        median_speed(run.metrics),
        len(images.files),
        len(right),
        f"{device_name(run.config.device)}, {run.config.precision}",
        versions("torch", "timm"),
    )


def load(source: Path, files: data.TrainingFiles, config: Config, listener: Listener) -> data.Images:
    """Decode the training and the test images. Raises SourceError where there are no labels, or no test images."""
    files.check_labels(source)
    if not files.held_back:
        raise SourceError(f"{source}: expected test images in test/<class>/, found none")
    listener.start("decoding", len(files.training) + len(files.held_back))
    train_images, test_images = (
        data.load(part, preprocess_of(config), tick=listener.advance) for part in (files.training, files.held_back)
    )
    return replace(train_images, held_back=test_images)


def show(methods: Sequence[str], epochs: int, figures: Mapping[str, Mapping[str, Any]], why: Mapping[str, str]) -> None:
    """Print the table, and what differs from the published recipes."""
    rows = []
    for method in methods:
        recipe, figure = RECIPES[method], figures.get(name_of(method, epochs))
        published = f"{recipe.published:.3f} ({recipe.source})"
        if figure is None:
            rows.append([method, why.get(method, "not measured"), published, *[""] * 5])
            continue
        found = Figure(**figure)
        rows.append([
            method, f"{found.knn:.3f} ({found.low:.3f}-{found.high:.3f})", published, f"{100 * (found.knn - recipe.published):+.1f} points",
            f"{found.minutes:.1f}", f"{found.images_per_second:,.0f}", found.device, found.versions,
        ])  # fmt: skip
    table(["method", "k-NN (95 %)", "published", "difference", "minutes", "images/s", "device", "versions"], rows)
    click.echo("Differences from the published recipes, which may change accuracy:\n")
    lines = [*DIFFERENCES, *(f"{method}: {line}" for method in methods for line in RECIPES[method].differences)]
    if epochs != EPOCHS:
        lines.insert(0, f"{counted(epochs, 'epoch')}; published: {EPOCHS}")
    for line in lines:
        click.echo(f"- {line}")


def name_of(method: str, epochs: int) -> str:
    """The name of a training in OUT: a longer one is another training, since the learning rate falls over all its epochs."""
    return f"{method}-{epochs}"


@click.command()
@click.argument("source", metavar="DATA", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.argument("out", type=click.Path(path_type=Path, file_okay=False))
@click.option(
    "--method", "methods", multiple=True, type=click.Choice(list(RECIPES)), default=list(RECIPES), show_default=True
)
@click.option("--epochs", default=EPOCHS, show_default=True, type=click.IntRange(1))
@click.option(
    "--minutes", default=25.0, show_default=True, help="Of the whole command; what does not fit is not started."
)
def main(source: Path, out: Path, methods: tuple[str, ...], epochs: int, minutes: float) -> None:
    """Measure and print a table."""
    began = time.monotonic()
    create_folder(out)
    file = out / FIGURES
    figures: dict[str, dict[str, Any]] = json.loads(file.read_text()) if file.exists() else {}
    why: dict[str, str] = {}
    files, images = data.list_training_files(source), None
    try:
        with ProgressBar() as bar:
            for method in methods:
                name, settings = name_of(method, epochs), settings_of(method, epochs)
                if name in figures:
                    continue
                bar.note(name)
                try:
                    config = settle(files.training, settings, images_per_second, bar).config
                    needed = minutes_left(source, config, len(files.training), out / name)
                    left = minutes - (time.monotonic() - began) / 60
                    if needed > left:
                        why[method] = f"not started: about {needed:.1f} minutes are needed, {left:.1f} are left"
                        continue
                    images = images or load(source, files, config, bar)
                    figures[name] = asdict(measure(source, out / name, settings, images, bar))
                except FeatureStoreError as error:  # the others are measured nevertheless
                    why[method] = f"failed: {error}"
                    continue
                write_text(
                    file, json.dumps(figures, indent=1) + "\n", "free some space, then start the same command again"
                )
    finally:  # Ctrl-C included: what was measured before it
        show(methods, epochs, figures, why)


if __name__ == "__main__":
    main()
