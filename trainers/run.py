"""From a folder of images to a run: configuration, data, method, loop and export, joined."""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import torch
from lightning_fabric import Fabric

from featurestore.encoders.card import Card
from featurestore.errors import ConfigError, TrainingError
from featurestore.progress import Listener
from featurestore.sources import ImageFile
from featurestore.version import __version__
from trainers.config.parse import over_file, read_toml
from trainers.config.planning import plan
from trainers.config.resolve import resolve
from trainers.config.schema import Config
from trainers.data import images as data
from trainers.export.torch_onnx import export
from trainers.methods import Method
from trainers.models.backbones import feature_dim
from trainers.training import checkpoint, monitor
from trainers.training import metrics_file as metrics
from trainers.training.curves import draw
from trainers.training.devices import launch, settle
from trainers.training.loop import fit
from trainers.training.setup import build, preprocess_of

CACHE = "pixels.cache"  # of a run: the decoded images, where they are many
MAY_CHANGE = {"device", "precision", "workers"}  # by a resumed run, which may be on another machine


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
    trained on; with labels="folders" a k-NN figure is computed after each epoch, with minutes less often. Images in top folders called val or test are
    not trained on. Raises ConfigError, SourceError, TrainingError, ExportError; Interrupted on Ctrl-C, with the state kept.
    """
    out, listener = Path(out), listener or Listener()
    given = config if isinstance(config, Mapping) else read_toml(config) if config is not None else {}
    files = data.list_training_files(source)
    state, resolved, chosen = _start(out, resume, over_file(given, settings), files.training, listener)
    fabric = launch(resolved)
    if not fabric.is_global_zero:
        listener = Listener()
    for line in chosen:
        listener.note(line)
    torch.manual_seed(resolved.seed)
    method = build(resolved if state is None else dataclasses.replace(resolved, init=None), listener.note)
    if resolved.init not in (None, "timm") and state is None:
        _start_from(method, str(resolved.init))

    images, held_back = _load(files, resolved, out, labels, fabric, listener)
    identity = {"images": len(images.files), "sha256": images.sha256, "config": resolved.hash()}
    if state is not None and (state["sha256"], state["images"]) != (identity["sha256"], identity["images"]):
        raise TrainingError(
            f"--resume: the images of {source} are not those the run in {out} was trained on ({identity['images']} now, {state['images']} "
            "then, or changed pixels); resuming would mix two trainings: train anew with another --out"
        )
    run = Run(out, resolved)
    if fabric.is_global_zero:
        out.mkdir(parents=True, exist_ok=True)
        (out / "config.toml").write_text(resolved.to_toml(), encoding="utf-8")
    evaluate = monitor.knn_monitor(images, held_back) if labels == "folders" else lambda backbone: {}
    fit(fabric, method, images.pixels, resolved, out, evaluate, state, identity, listener)
    if fabric.is_global_zero:
        listener.note("exporting and checking the encoder")
        export(method.export_backbone, make_card(resolved, method, identity), out / "encoder.onnx")
        draw(
            run.metrics,
            f"{resolved.method}, {resolved.backbone}, {resolved.image_size} px, {len(images.files)} images",
            out / "curves.png",
        )
    fabric.barrier()
    return run


def make_card(config: Config, method: Method, identity: Mapping[str, Any], trained: bool = True) -> Card:
    """Fill in the card of the encoder that `method` gives."""
    return Card(
        preprocess=preprocess_of(config),
        dim=feature_dim(method.export_backbone),
        method=config.method if trained else "untrained",
        backbone=config.backbone,
        branch=method.export_branch,
        trained_on={"count": identity["images"], "sha256": identity["sha256"]},
        config_hash=config.hash(),
        featurestore_version=__version__,
    )


def export_run(run: str | Path, out: str | Path, attention: bool = False) -> Path:
    """Export the encoder of a run anew from its checkpoint, with a ViT's attention where asked; raises TrainingError when `run` holds no run."""
    run = Path(run)
    state = checkpoint.load(run / "checkpoint.pt")
    config = resolve(read_toml(run / "config.toml"))
    method = build(dataclasses.replace(config, init=None))
    method.load_state_dict(state["method"])
    return export(method.export_backbone, make_card(config, method, state), Path(out), attention)


def export_untrained(config: Config, out: str | Path) -> Path:
    """Export the backbone of `config` with its first, random weights: what any training must beat."""
    torch.manual_seed(config.seed)
    method = build(config)
    return export(
        method.export_backbone, make_card(config, method, {"images": 0, "sha256": ""}, trained=False), Path(out)
    )


def _start(
    out: Path, resume: bool, given: Mapping[str, Any], files: Sequence[ImageFile], listener: Listener
) -> tuple[dict[str, Any] | None, Config, list[str]]:
    """The checkpoint to go on from, if any, the configuration, and what was chosen of it, in words."""
    if not resume:
        if (out / "checkpoint.pt").exists():
            raise TrainingError(
                f"{out} holds a training run already; go on with it by --resume, or choose another --out"
            )
        return None, *plan(files, given, listener)
    state = checkpoint.load(out / "checkpoint.pt")
    saved = read_toml(out / "config.toml")
    config = resolve(saved)
    asked = settle(resolve(saved, given))
    kept = [f.name for f in dataclasses.fields(Config) if f.name not in MAY_CHANGE]
    changed = [name for name in kept if getattr(asked, name) != getattr(config, name)]
    if changed:
        raise ConfigError(
            f"--resume goes on with the settings of the run; these differ: {', '.join(changed)}; leave them out, or train anew"
        )
    return state, asked, []


def _start_from(method: Method, run: str) -> None:
    """Load the backbone of another run."""
    theirs = resolve(read_toml(Path(run) / "config.toml"))
    trained = build(dataclasses.replace(theirs, init=None))
    trained.load_state_dict(checkpoint.load(Path(run) / "checkpoint.pt")["method"])
    weights = trained.export_backbone.state_dict()
    try:
        for network in method.backbones:
            network.load_state_dict(weights)
    except RuntimeError as error:
        raise ConfigError(
            f"--init {run}: its backbone is {theirs.backbone} at {theirs.image_size} px and does not fit this one; choose the same"
        ) from error


def _load(
    files: data.TrainingFiles, config: Config, out: Path, labels: str, fabric: Fabric, listener: Listener
) -> tuple[data.Images, data.Images | None]:
    held_back = monitor.thin(files.held_back) if labels == "folders" else []
    if labels == "folders" and not any(file.label for file in files.training):
        raise ConfigError(
            "--labels folders: expected class folders, such as train/<class>/<file>; found none; leave --labels out"
        )
    listener.start("decoding", len(files.training) + len(held_back))
    record = preprocess_of(config)
    if data.is_large(files.training, record, fabric.world_size):
        out.mkdir(parents=True, exist_ok=True)
        size = 3 * record.size**2 * len(files.training) / 2**30
        listener.note(
            f"pixels are kept in {out / CACHE}, {size:.0f} GiB; delete it to try again what could not be read"
        )
        with fabric.rank_zero_first():  # the others find the file
            images = data.load(files.training, record, config.workers, listener.advance, out / CACHE)
    else:
        images = data.load(files.training, record, config.workers, listener.advance)
    held = data.load(held_back, record, config.workers, listener.advance) if held_back else None
    failures = [*files.unlisted, *images.failures]
    if failures:
        listener.note(
            f"{len(failures)} files could not be read and are left out, the first: {failures[0].path}: {failures[0].reason}"
        )
    data.check_enough(len(images.files), "readable images")
    smaller = "" if config.view_size in (None, config.image_size) else f" (views of {config.view_size})"
    length = f"{config.minutes:g} minutes" if config.minutes else f"{config.epochs} epochs"
    listener.note(
        f"{len(images.files)} images, {config.method} with {config.backbone} at {config.image_size} px{smaller} for {length}, "
        f"batch {config.batch_size}, {config.optimizer.name} lr {config.optimizer.lr:g}, on {config.device}, {config.precision}"
    )
    listener.note(
        f"{config.method}: "
        + ", ".join(f"{f.name} {getattr(config.settings, f.name)}" for f in dataclasses.fields(config.settings))
    )
    return images, held
