"""Fine-tuning: from a run and a labelled source to a classifier file and its figures."""

import dataclasses
import json
import tomllib
from pathlib import Path

import numpy as np
import tomli_w
from lightning_fabric import Fabric
from numpy.typing import NDArray

from featurestore.encoders.card import Card
from featurestore.encoders.encoder import fingerprint
from featurestore.errors import ConfigError, Interrupted
from featurestore.metrics.calibration import expected_calibration_error, softmax
from featurestore.metrics.confusion import class_figures
from featurestore.metrics.splits import draw, share_counts
from featurestore.metrics.statistics import wilson
from featurestore.progress import Listener
from featurestore.system.disk import write_text
from featurestore.version import __version__
from trainers.config.machine import on_this_machine
from trainers.config.resolve import resolve
from trainers.data.labelled import list_labelled, load_labelled
from trainers.finetuning.export import export_classifier
from trainers.finetuning.loop import logits_of
from trainers.finetuning.network import HEADS, Head, StartingPoint, read_start
from trainers.finetuning.result import Finetuned, TestFigures
from trainers.finetuning.select import Task, Trained, Trainer
from trainers.methods import METHODS
from trainers.models.backbones import feature_dim
from trainers.training.devices import launch
from trainers.training.setup import preprocess_of

MOST_EPOCHS, MOST_MINUTES = 100_000, 43_200


def finetune(
    run: str | Path,
    source: str | Path,
    out: str | Path,
    *,
    labels: str = "folders",
    label_column: str | None = None,
    fraction: float = 1.0,
    head: Head = "mlp",
    epochs: int | None = None,
    minutes: float | None = None,
    from_scratch: bool = False,
    seed: int = 0,
    device: str = "auto",
    listener: Listener | None = None,
) -> Finetuned:
    """Train a classifier on a share of the labels, from the network of `run`, and write classifier.onnx with its figures to `out`.

    The test images are those of the split test, or a held-out fifth where there is none. `epochs` and `minutes` are those of each training:
    trials that choose recipe and temperature come on top. With `from_scratch` the same network starts from random weights, on the same labels.
    Raises ConfigError, EvaluationError, SourceError, TrainingError, ExportError, DiskError; Interrupted on Ctrl-C, with nothing written.
    """
    out, listener = Path(out), listener or Listener()
    check_options(fraction, head, epochs, minutes, seed)
    if (out / "classifier.onnx").exists():
        raise ConfigError(f"{out} holds a classifier already; choose another --out")
    start = read_start(run)
    if from_scratch:
        start = start.from_scratch()
    listed = list_labelled(source, labels, label_column)
    for line in listed.notes:
        listener.note(line)
    drawn = [listed.train[i] for i in draw_labels(listed.codes(listed.train), fraction, seed)]
    record = preprocess_of(start.config)
    task = Task(
        load_labelled(drawn, listed, record, listener),
        load_labelled(listed.test, listed, record, listener),
        len(listed.names),
    )
    listener.note(
        f"{len(task.train)} labels of {len(listed.names)} classes, {len(task.test)} test images ({listed.split}), head {head}, seed {seed}"
    )
    try:
        trained = Trainer(fabric_of(start, device), start, head, task, seed, listener).train(epochs, minutes)
        figures = measure(trained, task, (*listed.names, *listed.unseen))
        card = _card(start, head, task, trained, figures, listed.names, fraction, seed)
        listener.note("exporting and checking the classifier")
        export_classifier(trained.network, card, trained.temperature, out / "classifier.onnx")
    except KeyboardInterrupt as stop:
        raise Interrupted(f"interrupted; nothing was written to {out}: run the command again") from stop
    seconds = round(trained.seconds, 2)
    finetuned = Finetuned(
        out, card, figures, listed.split, listed.unseen, fingerprint(out / "classifier.onnx"), seconds
    )
    for name, text in (
        ("metrics.jsonl", "".join(json.dumps(line) + "\n" for line in trained.curve)),
        ("config.toml", _toml(start, labels, fraction, head, seed, trained)),
        ("report.json", json.dumps(finetuned.to_json(), indent=2) + "\n"),
    ):
        write_text(out / name, text, "free some space or choose another --out")
    return finetuned


def check_options(fraction: float, head: str, epochs: int | None, minutes: float | None, seed: int = 0) -> None:
    """Raise ConfigError for an option out of its range."""
    if not 0 < fraction <= 1:
        percent = f"; {fraction:g} percent is {fraction / 100:g}" if 1 < fraction <= 100 else ""
        raise ConfigError(
            f"fraction {fraction}: expected more than 0 and at most 1, such as 0.01 for a hundredth of the labels{percent}"
        )
    if head not in HEADS:
        raise ConfigError(f"head {head!r}: expected one of {', '.join(HEADS)}")
    if seed < 0:
        raise ConfigError(f"seed {seed}: expected at least 0")
    if epochs is not None and not 1 <= epochs <= MOST_EPOCHS:
        raise ConfigError(f"epochs {epochs}: expected at least 1 and at most {MOST_EPOCHS}")
    if minutes is not None and not 0 < minutes <= MOST_MINUTES:
        raise ConfigError(f"minutes {minutes}: expected more than 0 and at most {MOST_MINUTES}, which are 30 days")
    if epochs is not None and minutes is not None:
        raise ConfigError("epochs and minutes: expected one of the two, found both; each says how long to train")


def draw_labels(codes: NDArray[np.integer], fraction: float, seed: int) -> NDArray[np.intp]:
    """Draw a share of each class, at least two images where it has two: one for training and one for validation. Returns (n,) rows."""
    return draw(codes, share_counts(codes, fraction, least=2), seed)


def fabric_of(start: StartingPoint, device: str) -> Fabric:
    """Start Fabric on one device, with the precision of this machine: the run may come from another."""
    layer = {"device": device, "precision": "auto", "devices": 1}
    return launch(on_this_machine(resolve(tomllib.loads(start.config.to_toml()), layer)))


def measure(trained: Trained, task: Task, names: tuple[str, ...]) -> TestFigures:
    """Test a classifier; `names` are the names of all codes."""
    logits, codes = logits_of(trained.network, task.test.pixels), task.test.codes.numpy()
    predicted = logits.argmax(axis=1)
    return TestFigures(
        top1=float((predicted == codes).mean()),
        top1_ci95=wilson(predicted == codes),
        ece_before=expected_calibration_error(softmax(logits), codes),
        ece=expected_calibration_error(softmax(logits, trained.temperature), codes),
        classes=class_figures(predicted, codes, names),
    )


def _card(
    start: StartingPoint,
    head: Head,
    task: Task,
    trained: Trained,
    figures: TestFigures,
    names: tuple[str, ...],
    fraction: float,
    seed: int,
) -> Card:
    config = start.config
    return Card(
        preprocess=preprocess_of(config),
        dim=feature_dim(trained.network.backbone),
        method=f"{config.method}-finetuned" if start.pretrained else "supervised",
        backbone=config.backbone,
        branch=str(METHODS[config.method].export_branch) if start.pretrained else "backbone",
        trained_on=start.trained_on if start.pretrained else {"count": len(task.train), "sha256": task.train.sha256()},
        config_hash=config.hash(),
        featurestore_version=__version__,
        classes=names,
        classifier={
            "head": head, "pretrained": start.pretrained, "fraction": fraction, "seed": seed,
            "n_train": len(task.train), "n_test": len(task.test), "epochs": trained.epochs, "lr": trained.recipe.lr,
            "backbone_lr": trained.recipe.lr * trained.recipe.learned,
            "temperature": trained.temperature, "calibrated_on": trained.calibrated_on,
            "top1": figures.top1, "ece_before": figures.ece_before, "ece": figures.ece,
        },
    )  # fmt: skip


def _toml(start: StartingPoint, labels: str, fraction: float, head: Head, seed: int, trained: Trained) -> str:
    recipe = {key: value for key, value in dataclasses.asdict(trained.recipe).items() if value is not None}
    return tomli_w.dumps({
        "labels": labels, "fraction": fraction, "head": head, "seed": seed, "from_scratch": not start.pretrained,
        "recipe": recipe, "run": tomllib.loads(start.config.to_toml()),
    })  # fmt: skip
