"""From a folder of images to a run: configuration, data, method, loop and export, joined."""

import dataclasses
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import nn

from featurestore.encoder import Card
from featurestore.errors import ConfigError, TrainingError
from featurestore.evaluation import knn
from featurestore.images import ImageFile
from featurestore.preprocess import IMAGENET_MEAN, IMAGENET_STD, Preprocess
from featurestore.progress import Listener
from featurestore.version import __version__
from trainers import checkpoint, data, metrics, monitor
from trainers.backbones import feature_dim, make_backbone
from trainers.config import Config, read_toml, resolve
from trainers.export import export
from trainers.loop import fit
from trainers.methods import METHODS, Method
from trainers.views import two_views

MONITOR_IMAGES = 2000  # most images the k-NN of the monitor looks at, on each side
MONITOR_K, MONITOR_TEMPERATURE = 20, 0.07


@dataclass(frozen=True)
class Run:
    """A finished training run and where its files are."""

    out: Path
    config: Config

    @property
    def encoder(self) -> Path:
        return self.out / "encoder.onnx"

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """The figures of each epoch."""
        return metrics.read(self.out / "metrics.jsonl")


def train(
    source: str | Path,
    out: str | Path,
    *,
    labels: Literal["none", "folders"] = "none",
    resume: bool = False,
    config: str | Path | Mapping[str, Any] | None = None,
    listener: Listener | None = None,
    **settings: Any,
) -> Run:
    """Train an encoder on the images of `source` and leave encoder.onnx, checkpoint.pt, config.toml and metrics.jsonl in `out`.

    `config` is a TOML file or a mapping, `settings` go over it (`method="byol", epochs=50, augment={"flip": 0}`). Labels are never
    trained on; with labels="folders" a k-NN figure is computed after each epoch. Images in top folders called val or test are
    not trained on. Raises ConfigError, SourceError, TrainingError, ExportError; Interrupted on Ctrl-C, with the state kept.
    """
    out, listener = Path(out), listener or Listener()
    for package in ("lightning.fabric", "lightning.pytorch"):  # the second speaks for the first when both are loaded
        logging.getLogger(package).setLevel(logging.WARNING)
    given = config if isinstance(config, Mapping) else read_toml(config) if config is not None else {}
    state, resolved = _start(out, resume, given, settings)
    torch.manual_seed(resolved.seed)
    method, record = build(resolved, listener.note)

    images, held_back = _load(source, record, resolved, labels, listener)
    identity = {"images": len(images.files), "sha256": images.sha256(), "config": resolved.hash()}
    if state is not None and (state["sha256"], state["images"]) != (identity["sha256"], identity["images"]):
        raise TrainingError(
            f"--resume: the images of {source} are not those the run in {out} was trained on ({identity['images']} now, {state['images']} "
            "then, or changed pixels); resuming would mix two trainings: train anew with another --out"
        )
    out.mkdir(parents=True, exist_ok=True)
    (out / "config.toml").write_text(resolved.to_toml(), encoding="utf-8")
    evaluate = _knn_monitor(images, held_back) if labels == "folders" else lambda backbone: {}
    fit(method, images.pixels, resolved, out, evaluate, state, identity, listener)
    listener.note("exporting and checking the encoder")
    export(method.export_backbone, make_card(resolved, method, identity), out / "encoder.onnx")
    return Run(out, resolved)


def build(config: Config, note: Callable[[str], None] = lambda text: None) -> tuple[Method, Preprocess]:
    """Build the method with fresh weights, and the preprocessing of its encoder; draws from torch's global generator."""
    backbone, adapted = make_backbone(config.backbone, config.image_size)
    for line in adapted:
        note(line)
    method = METHODS[config.method](backbone, config.settings, two_views(config.augment, config.image_size))
    return method, Preprocess(size=config.image_size, shorter_side=config.image_size)


def make_card(config: Config, method: Method, identity: Mapping[str, Any], trained: bool = True) -> Card:
    """Fill in the card of the encoder that `method` gives."""
    return Card(
        preprocess=Preprocess(size=config.image_size, shorter_side=config.image_size),
        dim=feature_dim(method.export_backbone),
        method=config.method if trained else "untrained",
        backbone=config.backbone,
        branch=method.export_branch,
        trained_on={"count": identity["images"], "sha256": identity["sha256"]},
        config_hash=config.hash(),
        featurestore_version=__version__,
    )


def export_run(run: str | Path, out: str | Path) -> Path:
    """Export the encoder of a run anew from its checkpoint; raises TrainingError when `run` holds no run."""
    run = Path(run)
    state = checkpoint.load(run / "checkpoint.pt")
    config = resolve(read_toml(run / "config.toml"))
    method, _ = build(config)
    method.load_state_dict(state["method"])
    return export(method.export_backbone, make_card(config, method, state), Path(out))


def export_untrained(config: Config, out: str | Path) -> Path:
    """Export the backbone of `config` with its first, random weights: what any training must beat."""
    torch.manual_seed(config.seed)
    method, _ = build(config)
    return export(
        method.export_backbone, make_card(config, method, {"images": 0, "sha256": ""}, trained=False), Path(out)
    )


def _start(
    out: Path, resume: bool, given: Mapping[str, Any], settings: Mapping[str, Any]
) -> tuple[dict[str, Any] | None, Config]:
    if not resume:
        if (out / "checkpoint.pt").exists():
            raise TrainingError(
                f"{out} holds a training run already; go on with it by --resume, or choose another --out"
            )
        return None, _settle(resolve(given, settings))
    state = checkpoint.load(out / "checkpoint.pt")
    saved = read_toml(out / "config.toml")
    config = resolve(saved)
    asked = resolve(saved, given, settings)
    if asked != config:
        changed = [f.name for f in dataclasses.fields(Config) if getattr(asked, f.name) != getattr(config, f.name)]
        raise ConfigError(
            f"--resume goes on with the settings of the run; these differ: {', '.join(changed)}; leave them out, or train anew"
        )
    return state, config


def _settle(config: Config) -> Config:
    """Decide what depends on the machine, so that the saved configuration says what was done."""
    device = config.device
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
    available = {"cuda": torch.cuda.is_available(), "mps": torch.backends.mps.is_available(), "cpu": True}
    if not available[device]:
        raise ConfigError(
            f"device {device!r} is not there on this machine; expected one of {', '.join(d for d, ok in available.items() if ok)}"
        )
    precision = config.precision
    if precision == "auto":
        fast = device == "cuda" or (device == "cpu" and torch.cpu._is_avx512_bf16_supported())
        precision = "bf16-mixed" if fast else "32-true"
    return dataclasses.replace(config, device=device, precision=precision)


def _load(
    source: str | Path, record: Preprocess, config: Config, labels: str, listener: Listener
) -> tuple[data.Images, data.Images | None]:
    training, held_back, unlisted = data.list_training_files(source)
    if labels == "none":
        held_back = []
    elif not any(file.label for file in training):
        raise ConfigError(
            f"--labels folders: expected class folders in {str(source)!r}, such as train/<class>/<file>; found none; leave --labels out"
        )
    held_back = _thin(held_back)
    listener.start("decoding", len(training) + len(held_back))
    images = data.load(training, record, config.workers, listener.advance)
    held = data.load(held_back, record, config.workers, listener.advance) if held_back else None
    failures = [*unlisted, *images.failures]
    if failures:
        listener.note(
            f"{len(failures)} files could not be read and are left out, the first: {failures[0].path}: {failures[0].reason}"
        )
    if len(images.files) < data.SMALLEST:
        raise TrainingError(
            f"{source}: expected at least {data.SMALLEST} readable images to train on, found {len(images.files)}"
        )
    listener.note(
        f"{len(images.files)} images, {config.method} with {config.backbone} at {config.image_size} px on {config.device}, {config.precision}"
    )
    return images, held


def _thin(files: list[ImageFile]) -> list[ImageFile]:
    """Take an even sample of at most MONITOR_IMAGES files."""
    step = max(1, -(-len(files) // MONITOR_IMAGES))
    return files[::step]


def _knn_monitor(images: data.Images, held_back: data.Images | None) -> Callable[[nn.Module], dict[str, float]]:
    """Make the k-NN figure of the monitor: held-back images against training images, or training images leave-one-out."""
    step = max(1, -(-len(images.files) // MONITOR_IMAGES))
    bank_labels = [file.label for file in images.files][::step]
    if not any(bank_labels):
        return lambda backbone: {}
    bank = images.pixels[::step]
    names = sorted({label for label in bank_labels if label})
    number = {name: i for i, name in enumerate(names)}
    queries = [f.label for f in held_back.files] if held_back else bank_labels
    truth = np.array([number.get(label or "", -1) for label in queries])
    codes = np.array([number.get(label or "", -1) for label in bank_labels])
    known_bank, known = codes >= 0, truth >= 0
    k = min(MONITOR_K, int(known_bank.sum()) - (held_back is None))

    def evaluate(backbone: nn.Module) -> dict[str, float]:
        device = next(backbone.parameters()).device
        mean, std = (torch.tensor(x, device=device).view(1, 3, 1, 1) for x in (IMAGENET_MEAN, IMAGENET_STD))
        x = torch.from_numpy(monitor.features(backbone, bank[torch.from_numpy(known_bank)], mean, std))
        if held_back is None:
            similarity = (x @ x.T).fill_diagonal_(-2)
        else:
            similarity = (
                torch.from_numpy(monitor.features(backbone, held_back.pixels[torch.from_numpy(known)], mean, std)) @ x.T
            )
        scores, rows = (t.numpy() for t in torch.topk(similarity, k))
        results, _ = knn.evaluate(scores, codes[known_bank][rows], truth[known], names, [k], MONITOR_TEMPERATURE)
        return {"knn_top1": results[0].top1}

    return evaluate if k >= 1 and known.any() else lambda backbone: {}


__all__ = ["Run", "build", "export_run", "export_untrained", "train"]
