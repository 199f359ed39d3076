"""Fine-tuning, from a run and a labelled source to a classifier file and its figures."""

import dataclasses
import json
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import tomli_w
from lightning_fabric import Fabric
from numpy.typing import NDArray

from featurestore.encoders.encoder import Card, fingerprint
from featurestore.errors import ConfigError, Interrupted
from featurestore.metrics.calibration import expected_calibration_error, softmax
from featurestore.metrics.confusion import ClassFigures, class_figures
from featurestore.metrics.splits import draw, share_counts
from featurestore.metrics.statistics import bootstrap
from featurestore.progress import Listener
from featurestore.system.disk import written_whole
from featurestore.version import __version__
from trainers.config.resolve import resolve
from trainers.data.labelled import list_labelled, load_labelled
from trainers.finetuning.export import export_classifier
from trainers.finetuning.loop import logits_of
from trainers.finetuning.network import HEADS, Head, Start, read_start
from trainers.finetuning.select import Task, Trained, Trainer
from trainers.methods import METHODS
from trainers.models.backbones import feature_dim
from trainers.training.devices import launch, settle
from trainers.training.setup import preprocess_of

ADVICE = "free some space or choose another --out"


@dataclass(frozen=True)
class Measured:
    """What a classifier says of the test images: fractions in [0, 1]."""

    top1: float
    top1_ci95: tuple[float, float]
    ece_before: float  # expected calibration error of the plain softmax
    ece: float  # after temperature scaling
    classes: list[ClassFigures]


@dataclass(frozen=True)
class Finetuned:
    """A classifier that was written, and its figures."""

    out: Path
    card: Card
    measured: Measured
    split: str
    unseen: tuple[str, ...]
    encoder: str  # the fingerprint of the classifier file
    seconds: float  # of all trainings

    @property
    def classifier(self) -> Path:
        return self.out / "classifier.onnx"

    def __str__(self) -> str:
        said, low_high = self.card.classifier, " to ".join(f"{bound:.3f}" for bound in self.measured.top1_ci95)
        start = f"{self.card.method}" if said["pretrained"] else "supervised from scratch"
        calibration = (
            f"calibration error {self.measured.ece_before:.3f}, after temperature {said['temperature']:.2f} from {said['calibrated_on']} labels {self.measured.ece:.3f}"
            if said["calibrated_on"]
            else f"calibration error {self.measured.ece_before:.3f}, too few labels to calibrate"
        )
        return (
            f"{self.classifier}\n"
            f"top-1 {self.measured.top1:.3f} (95 %: {low_high})  {start}, {self.card.backbone}, head {said['head']}, {said['n_train']} labels "
            f"({100 * said['fraction']:g} %) of {len(self.card.classes)} classes, {said['n_test']} test images ({self.split}), seed {said['seed']}\n"
            f"{calibration}\n"
            f"{said['epochs']} epochs, {self.seconds:.0f} s with all trials"
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "classifier": str(self.classifier),
            "encoder": self.encoder,
            "protocol": "finetune",
            "method": self.card.method,
            "backbone": self.card.backbone,
            "split": self.split,
            **self.card.classifier,
            "seconds": self.seconds,
            "top1_ci95": list(self.measured.top1_ci95),
            "unseen": list(self.unseen),
            "classes": [dataclasses.asdict(figures) for figures in self.measured.classes],
        }


def finetune(
    run: str | Path,
    source: str | Path,
    out: str | Path,
    *,
    labels: str = "folders",
    fraction: float = 1.0,
    head: Head = "mlp",
    epochs: int | None = None,
    minutes: float | None = None,
    from_scratch: bool = False,
    seed: int = 0,
    device: str = "auto",
    listener: Listener | None = None,
) -> Finetuned:
    """Train a classifier on a share of the labels, from the network of `run`, and leave classifier.onnx with its figures in `out`.

    Tested on the split test, or without one on a held-out fifth. `epochs` and `minutes` are those of each training: trials that choose recipe
    and temperature come on top. With `from_scratch` the same network starts from random weights, on the same labels. Raises ConfigError,
    EvaluationError, SourceError, TrainingError, ExportError; Interrupted on Ctrl-C, with nothing written.
    """
    out, listener = Path(out), listener or Listener()
    check_options(fraction, head, epochs, minutes)
    if (out / "classifier.onnx").exists():
        raise ConfigError(f"{out} holds a classifier already; choose another --out")
    start = read_start(run)
    if from_scratch:
        start = start.from_scratch()
    listed = list_labelled(source, labels)
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
        measured = measure(trained, task, (*listed.names, *listed.unseen), seed)
        card = _card(start, head, task, trained, measured, listed.names, fraction, seed)
        listener.note("exporting and checking the classifier")
        export_classifier(trained.network, card, trained.temperature, out / "classifier.onnx")
    except KeyboardInterrupt as stop:
        raise Interrupted(f"interrupted; nothing was written to {out}: run the command again") from stop
    seconds = round(trained.seconds, 2)
    finetuned = Finetuned(
        out, card, measured, listed.split, listed.unseen, fingerprint(out / "classifier.onnx"), seconds
    )
    _write(out / "metrics.jsonl", "".join(json.dumps(line) + "\n" for line in trained.curve))
    _write(out / "config.toml", _toml(start, labels, fraction, head, seed, trained))
    _write(out / "report.json", json.dumps(finetuned.to_json(), indent=2) + "\n")
    return finetuned


def check_options(fraction: float, head: str, epochs: int | None, minutes: float | None) -> None:
    """Raise ConfigError for an option out of its range."""
    if not 0 < fraction <= 1:
        raise ConfigError(
            f"fraction {fraction}: expected more than 0 and at most 1, such as 0.01 for a hundredth of the labels"
        )
    if head not in HEADS:
        raise ConfigError(f"head {head!r}: expected one of {', '.join(HEADS)}")
    if epochs is not None and epochs < 1:
        raise ConfigError(f"epochs {epochs}: expected at least 1")
    if minutes is not None and not 0 < minutes < float("inf"):
        raise ConfigError(f"minutes {minutes}: expected more than 0")
    if epochs is not None and minutes is not None:
        raise ConfigError("epochs and minutes: expected one of the two, for each says how long to train")


def draw_labels(codes: NDArray[np.integer], fraction: float, seed: int) -> NDArray[np.intp]:
    """Draw a share of each class, two at least where it has two: one to learn from and one to be judged by."""
    return draw(codes, share_counts(codes, fraction, least=2), seed)


def fabric_of(start: Start, device: str) -> Fabric:
    """Start Fabric on one device, with the precision that suits it: a run may come from another machine."""
    layer = {"device": device, "precision": "auto", "devices": 1}
    return launch(settle(resolve(tomllib.loads(start.config.to_toml()), layer)))


def measure(trained: Trained, task: Task, names: tuple[str, ...], seed: int) -> Measured:
    """Test a classifier; `names` are those of all codes."""
    logits, codes = logits_of(trained.network, task.test.pixels), task.test.codes.numpy()
    predicted = logits.argmax(axis=1)
    return Measured(
        top1=float((predicted == codes).mean()),
        top1_ci95=bootstrap(predicted == codes, seed),
        ece_before=expected_calibration_error(softmax(logits), codes),
        ece=expected_calibration_error(softmax(logits, trained.temperature), codes),
        classes=class_figures(predicted, codes, names),
    )


def _card(
    start: Start,
    head: Head,
    task: Task,
    trained: Trained,
    measured: Measured,
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
        branch=str(METHODS[config.method].method.export_branch) if start.pretrained else "backbone",
        trained_on=start.trained_on if start.pretrained else {"count": len(task.train), "sha256": task.train.sha256()},
        config_hash=config.hash(),
        featurestore_version=__version__,
        classes=names,
        classifier={
            "head": head, "pretrained": start.pretrained, "fraction": fraction, "seed": seed,
            "n_train": len(task.train), "n_test": len(task.test), "epochs": trained.epochs, "lr": trained.recipe.lr,
            "backbone_lr": trained.recipe.lr * trained.recipe.learned,
            "temperature": trained.temperature, "calibrated_on": trained.calibrated_on,
            "top1": measured.top1, "ece_before": measured.ece_before, "ece": measured.ece,
        },
    )  # fmt: skip


def _toml(start: Start, labels: str, fraction: float, head: Head, seed: int, trained: Trained) -> str:
    recipe = {key: value for key, value in dataclasses.asdict(trained.recipe).items() if value is not None}
    return tomli_w.dumps({
        "labels": labels, "fraction": fraction, "head": head, "seed": seed, "from_scratch": not start.pretrained,
        "recipe": recipe, "run": tomllib.loads(start.config.to_toml()),
    })  # fmt: skip


def _write(path: Path, text: str) -> None:
    with written_whole(path, ADVICE) as part:
        part.write_text(text, encoding="utf-8")
