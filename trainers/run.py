"""From a folder of images to a run: settings, images, method, loop and export, in this order."""

import dataclasses
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from lightning_fabric import Fabric

from featurestore.errors import ConfigError
from featurestore.progress import Listener, shows_progress
from featurestore.system.disk import create_folder, write_text
from featurestore.system.text import counted
from trainers.config.machine import find_device, on_several
from trainers.config.schema import Config
from trainers.config.settle import read_given, settle
from trainers.config.time_budget import so_many
from trainers.data import images as data
from trainers.models.start import describe_start
from trainers.runtime.threads import fit_threads, restores_threads
from trainers.training import checkpoint, metrics_file, monitor
from trainers.training.curves import draw
from trainers.training.finish import ENCODER, Wanted, finish
from trainers.training.labelled_sample import samples, thin
from trainers.training.loop import fit
from trainers.training.proof import Proof
from trainers.training.resume import check_same_images, is_made_longer, refuse_to_overwrite
from trainers.training.resume import resume as resume_run
from trainers.training.setup import preprocess_of, set_up
from trainers.training.speed import images_per_second

PREPARATION = 0.25  # of the minutes of a training, at most, that timing and decoding before it may take from it
UNMEASURED = "k-NN is not measured: it needs one label an image, two classes or more, and two images of one of them; views are compared instead"
CACHE = "pixels.cache"  # of a run: the decoded images, where there are many


@dataclass(frozen=True)
class Run:
    """A finished training run and where its files are."""

    out: Path
    config: Config
    proof: Proof | None = None  # how its encoder compares with what there was before; only in the first process

    @property
    def encoder(self) -> Path:
        return self.out / ENCODER

    @property
    def metrics(self) -> list[dict[str, Any]]:
        """The figures of each epoch."""
        return metrics_file.read(self.out / "metrics.jsonl")


@shows_progress
@restores_threads
def train(
    source: str | Path,
    out: str | Path,
    *,
    labels: Literal["none", "folders"] = "none",
    label_column: str | None = None,
    resume: bool = False,
    config: str | Path | Mapping[str, Any] | None = None,
    listener: Listener | None = None,
    exclude: Sequence[str] = (),
    whiten: bool = True,
    export: Wanted = "best",
    **settings: Any,
) -> Run:
    """Train an encoder on the images of `source`, and write encoder.onnx, checkpoint.pt, config.toml and metrics.jsonl to `out`.

    With `resume`, an unfinished run goes on as if it had never stopped, and one that has ended continues to the larger number of `epochs`
    or `minutes` that is given, with a learning rate that rises and falls again.

    `config` is a TOML file or a mapping, `settings` go over it (`method="byol", epochs=50, augment={"flip": 0}`). Labels are never
    trained on; with labels="folders" a k-NN figure is computed after each epoch, with minutes less often. label_column: the column of
    labels in a table, when it has no usual name. Images in top folders called val or test are not trained on, unless `source` is such a
    folder. What matches a pattern of `exclude`, in the form of .gitignore, is left out. The encoder is whitened, see
    `featurestore.estimators.whitening`, unless `whiten` is False. In the end it is compared with the weights it started from, the untrained
    network and raw pixels, and the best of them is written, or with export="own" always the trained one. Where encoder.onnx is another, the
    trained one is own.onnx. Raises EvaluationError, ConfigError, SourceError, TrainingError,
    ExportError, DiskError; Interrupted on Ctrl-C, after saving the state.
    """
    out, listener, began = Path(out), listener or Listener(), time.monotonic()
    if labels == "none" and label_column is not None:
        raise ConfigError("a column of labels was named, but no labels are wanted; add --labels folders")
    given = read_given(config, settings)
    if find_device(given.get("device", "auto")) == "cpu" and not on_several(given) and (said := fit_threads()):
        listener.note(said)
    files = data.list_training_files(source, exclude, label_column)
    if labels == "folders":
        files.check_labels(source)
    state = None
    if resume:
        state, settled = resume_run(out, given)
    else:
        refuse_to_overwrite(out)
        settled = settle(files.training, given, images_per_second, listener, labels == "folders")

    def load(fabric: Fabric, listener: Listener) -> data.Images:
        for text in files.notes(labels == "folders", exclude):
            listener.note(text)
        images = _load(files, settled.config, out, labels, fabric, listener)
        if state is not None:
            check_same_images(state, _identity(settled.config, images), source, out)
        return images

    setup = set_up(settled, load, listener, state)
    run, images, fabric = Run(out, setup.config), setup.images, setup.fabric
    sample, watched = samples(images, run.config.image_size) if labels == "folders" else (None, None)
    if labels == "folders" and sample is None:
        setup.listener.note(UNMEASURED)
    identity = {**_identity(run.config, images), **_start(run.config, state)}
    if fabric.is_global_zero:
        create_folder(out)
        if state is not None and is_made_longer(state):
            checkpoint.save(out / "checkpoint.pt", state)  # before the settings: they are those of the longer training
        write_text(out / "config.toml", run.config.to_toml(), "free some space or choose another --out")
    spent = min(time.monotonic() - began, PREPARATION * 60 * (run.config.minutes or 0))
    record = preprocess_of(run.config)
    fit(setup, out, monitor.knn_monitor(watched, record.mean, record.std, whiten), state, identity, spent)
    if fabric.is_global_zero:
        run = dataclasses.replace(run, proof=finish(setup, sample, out, identity, whiten, export))
        what = f"{run.config.method}, {run.config.backbone}, {run.config.image_size} px, {len(images.files)} images"
        draw(run.metrics, what, out / "curves.png")
    fabric.barrier()
    return run


def _identity(config: Config, images: data.Images) -> dict[str, Any]:
    """Say what a checkpoint was made from."""
    return {"images": len(images.files), "sha256": images.sha256, "config": config.hash()}


def _start(config: Config, state: Mapping[str, Any] | None) -> dict[str, str]:
    """Name the weights that a training started from, if any; when it is resumed, those of its checkpoint."""
    if state is not None:
        return {key: state[key] for key in ("weights",) if key in state}
    init, backbone = (
        (config.init, config.backbone) if config.base is None else (config.base, config.base_backbone or "")
    )
    return {} if init is None else {"weights": describe_start(init, backbone)}


def _load(
    files: data.TrainingFiles, config: Config, out: Path, labels: str, fabric: Fabric, listener: Listener
) -> data.Images:
    """Decode the images, from a file in `out` where they are many, and note what was read and what will be done."""
    held_back = thin(files.held_back) if labels == "folders" else []
    listener.start("decoding", len(files.training) + len(held_back))
    record = preprocess_of(config)
    if data.is_large(files.training, record, fabric.world_size):
        create_folder(out)
        size = 3 * record.size**2 * len(files.training) / 2**30
        listener.note(
            f"the decoded pixels are stored in {out / CACHE}, {size:.0f} GiB; delete it to try again what could not be read"
        )
        with fabric.rank_zero_first():  # the others find the file
            images = data.load(files.training, record, config.workers, listener.advance, out / CACHE)
    else:
        images = data.load(files.training, record, config.workers, listener.advance)
    if held_back:
        images = dataclasses.replace(images, held_back=data.load(held_back, record, config.workers, listener.advance))
    failures = [*files.unlisted, *images.failures]
    if failures:
        listener.note(
            f"left out: {counted(len(failures), 'file')} that could not be read; {data.describe_failures(failures)}"
        )
    data.check_enough(len(images.files), "readable images")
    for line in images.readings.lines():
        listener.note(line)
    for line in _describe(config, len(images.files)):
        listener.note(line)
    return images


def _describe(config: Config, images: int) -> list[str]:
    """Say in two lines what a training will do: its settings, and those of its method."""
    smaller = "" if config.view_size in (None, config.image_size) else f" (views of {config.view_size})"
    length = so_many(config.minutes, "minutes") if config.minutes else so_many(config.epochs, "epochs")
    own = [f"{f.name} {getattr(config.settings, f.name)}" for f in dataclasses.fields(config.settings)]
    return [
        f"{images} images, {config.method} with {config.backbone} at {config.image_size} px{smaller} for {length}, "
        f"batch {min(config.batch_size, images)}, {config.optimizer.name} lr {config.optimizer.lr:g}, on {config.device}, {config.precision}",
        f"{config.method}: {', '.join(own)}",
    ]
