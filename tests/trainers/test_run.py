"""Training runs: their files, their settings, and what they refuse."""

import math
import shutil
import tomllib
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image

from featurestore.encoders.card import Card
from featurestore.encoders.encoder import Encoder
from featurestore.errors import ConfigError, SourceError, TrainingError
from featurestore.progress import Listener
from tests.trainers.methods import shapes
from tests.trainers.runs import TINY, Notes, fails
from trainers import train
from trainers.config.schema import Config
from trainers.config.settle import read_given, settle
from trainers.data import images as data
from trainers.export.training_run import export_run
from trainers.methods.simclr import SimCLR
from trainers.models import backbones
from trainers.models.backbones import Conv4
from trainers.run import Run
from trainers.training import checkpoint
from trainers.training.features import features
from trainers.training.setup import build


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Run]:
    """A source of 24 training and 8 test images, and a run on it with labels, which tests do not change."""
    folder = tmp_path_factory.mktemp("finished")
    source = shapes.write(folder / "few", train=6, test=2)
    return source, train(source, folder / "run", labels="folders", epochs=2, export="own", **TINY)


def test_a_run_writes_its_files(finished: tuple[Path, Run]) -> None:
    _, run = finished
    assert {p.name for p in run.out.iterdir()} == {
        "encoder.onnx", "checkpoint.pt", "config.toml", "metrics.jsonl", "curves.png",
    }  # fmt: skip
    assert [line["epoch"] for line in run.metrics] == [1, 2]
    assert run.proof is not None
    assert [row.contender.kind for row in run.proof.rows] == ["own encoder", "untrained network", "raw pixels"]
    expected = {"loss", "lr", "feature_std", "rankme", "knn_top1", "knn_images", "images_per_second", "wait", "seconds"}
    assert expected <= run.metrics[0].keys()
    saved = tomllib.loads((run.out / "config.toml").read_text())
    assert (saved["method"], saved["epochs"], saved["simclr"]["hidden"], saved["device"]) == ("simclr", 2, 16, "cpu")
    card = Encoder(run.encoder).card
    assert card.trained_on["count"] == 24  # the 8 images of test were not trained on
    assert (card.method, card.backbone, card.config_hash) == ("simclr", "conv4", run.config.hash())


@pytest.mark.usefixtures("no_export")
def test_labels_change_nothing_but_the_monitor(finished: tuple[Path, Run], tmp_path: Path) -> None:
    source, seen = finished
    blind = train(source, tmp_path / "blind", epochs=2, **TINY)
    assert "knn_top1" not in blind.metrics[0]
    assert [m["loss"] for m in seen.metrics] == [m["loss"] for m in blind.metrics]
    assert same(weights(seen.out), weights(blind.out))


def test_a_finished_run_resumes_to_itself_and_can_be_exported_again(
    finished: tuple[Path, Run], tmp_path: Path, no_export: list[Card]
) -> None:
    source, run = finished
    again = export_run(run.out, tmp_path / "again.onnx")
    assert run.encoder.read_bytes() == again.read_bytes()
    shutil.copytree(run.out, tmp_path / "run")
    resumed = train(source, tmp_path / "run", resume=True, export="own")
    assert no_export == [Encoder(run.encoder).card]
    assert same(weights(resumed.out), weights(run.out))


def test_an_encoder_may_see_larger_images_than_its_training(
    few_shapes: Path, tmp_path: Path, no_export: list[Card], monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: set[tuple[int, int]] = set()
    genuine = SimCLR.loss

    def watched(self: SimCLR, views: Any, at: Any) -> Any:
        sizes.update(tuple(view.shape[2:]) for view in views)
        return genuine(self, views, at)

    monkeypatch.setattr(SimCLR, "loss", watched)
    train(few_shapes, tmp_path / "run", epochs=1, **{**TINY, "image_size": 32, "view_size": 16})
    assert sizes == {(16, 16)}
    assert no_export[0].preprocess.size == 32


@pytest.mark.usefixtures("no_export")
def test_minutes_alone_choose_method_network_and_size(few_shapes: Path, tmp_path: Path) -> None:
    notes = Notes()
    run = train(few_shapes, tmp_path / "run", minutes=0.002, device="cpu", listener=notes)
    chosen = (run.config.method, run.config.backbone, run.config.image_size, run.config.view_size)
    assert chosen == ("simclr", "conv4", 32, 24)
    assert any("on this machine: simclr, conv4 at 32 px, views of 24 px" in line for line in notes.lines)
    assert train(few_shapes, run.out, resume=True).config == run.config

    def again(**settings: Any) -> Config:
        """What a new training takes from the settings of the run."""
        files = data.list_training_files(few_shapes).training
        return settle(files, read_given(run.out / "config.toml", settings), lambda *_: math.inf, Listener()).config

    same, longer = again(device="cpu"), again(epochs=1)
    assert (same.minutes, same.backbone, same.view_size) == (0.002, "conv4", 24)
    assert (longer.minutes, longer.epochs) == (None, 1)


def test_images_that_cannot_be_read_are_left_out_and_noted(
    few_shapes: Path, tmp_path: Path, no_export: list[Card]
) -> None:
    (few_shapes / "train" / "disc" / "broken.jpg").write_bytes(b"no image")
    notes = Notes()
    Image.fromarray(np.arange(256, dtype=np.uint16).reshape(16, 16) * 16).save(few_shapes / "deep.png")
    Image.new("RGB", (16, 16), "navy").save(few_shapes / "plain.png")
    train(few_shapes, tmp_path / "run", epochs=1, listener=notes, **TINY)
    assert no_export[0].trained_on["count"] == 26
    assert any("broken.jpg" in line and "1 file that could not be read" in line for line in notes.lines)
    assert any("1 of 26 images: 16 bits a channel, of which 12 are in use" in line for line in notes.lines)
    assert any("1 of 26 images; " in line and "plain.png" in line for line in notes.lines)  # of one colour


@pytest.mark.slow
def test_learning_beats_the_untrained_network(
    shapes_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(backbones.OWN, "conv4", partial(Conv4, 16))  # half the width: enough for shapes
    settings = {
        **TINY,
        "batch_size": 64,
        "simclr": {"hidden": 128, "dim": 64, "temperature": 0.3},
        "augment": {
            "rotate": 10, "crop_min": 0.4, "brightness": 0.8, "contrast": 0.8, "saturation": 0.8, "hue": 0.4,
            "solarize": [0.5, 0.5],
        },
    }  # fmt: skip
    run = train(shapes_folder, tmp_path / "run", labels="folders", epochs=12, **settings)
    torch.manual_seed(run.config.seed)
    untrained = build(run.config).export_backbone
    before = knn_of(lambda pixels: features(untrained, torch.from_numpy(pixels).permute(0, 3, 1, 2)), shapes_folder)
    after = knn_of(Encoder(run.encoder).encode, shapes_folder)
    assert after == pytest.approx(run.metrics[-1]["knn_top1"], abs=0.03)  # the monitor measures the exported encoder
    assert after > before + 0.2, (before, after)


def weights(run: Path) -> dict[str, torch.Tensor]:
    """The backbone's weights in a run's checkpoint."""
    return {k: v for k, v in checkpoint.load(run / "checkpoint.pt")["method"].items() if k.startswith("backbone.")}


def same(ours: dict[str, torch.Tensor], theirs: dict[str, torch.Tensor]) -> bool:
    return ours.keys() == theirs.keys() and all(torch.equal(value, theirs[key]) for key, value in ours.items())


@pytest.mark.usefixtures("no_export")
def test_a_large_collection_is_mapped_and_trains_the_same(
    few_shapes: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = train(few_shapes, tmp_path / "held", epochs=1, **TINY)
    monkeypatch.setattr(data, "IN_MEMORY", 0)
    notes = Notes()
    mapped = train(few_shapes, tmp_path / "mapped", epochs=1, listener=notes, **TINY)
    assert (mapped.out / "pixels.cache").exists()
    assert any("pixels are stored in" in line for line in notes.lines)
    assert [line["loss"] for line in mapped.metrics] == [line["loss"] for line in held.metrics]
    assert mapped.metrics[0]["wait"] <= 1


def test_bad_input_is_named_and_leaves_no_run(few_shapes: Path, tmp_path: Path) -> None:
    out, empty, flat, unreadable = (tmp_path / name for name in ("run", "empty", "flat", "unreadable"))
    for folder in (empty, flat, unreadable):
        folder.mkdir()
    for number, path in enumerate(few_shapes.glob("train/*/*.png")):
        (flat / f"{number}.png").write_bytes(path.read_bytes())
        (unreadable / f"{number}.png").write_bytes(b"text")
    fails(SourceError, ["absent", "found nothing there"], tmp_path / "absent", out)
    fails(SourceError, ["empty", "no image found"], empty, out)
    fails(SourceError, ["none of 24 files", "0.png", "not an image"], unreadable, out)
    fails(TrainingError, ["at least 8", "found 6"], few_shapes / "train" / "disc", out)
    fails(ConfigError, ["augment.flp", "flip"], few_shapes, out, augment={"flp": 0})
    fails(ConfigError, ["conv4", "at least 16"], few_shapes, out, image_size=8)
    fails(ConfigError, ["crops of 8 px", "view_size"], few_shapes, out, view_size=8)
    fails(SourceError, ["--labels folders", "folders of their classes"], flat, out, labels="folders")
    fails(ConfigError, ["cuda", "not there"], few_shapes, out, device="cuda")
    assert not out.exists()


@pytest.mark.usefixtures("no_export")
def test_a_run_is_not_overwritten_and_not_resumed_with_other_settings_or_images(
    few_shapes: Path, tmp_path: Path
) -> None:
    with pytest.raises(TrainingError, match="expected a checkpoint"):
        train(few_shapes, tmp_path / "none", resume=True)
    run = train(few_shapes, tmp_path / "run", epochs=1, **TINY)
    before = (run.out / "checkpoint.pt").read_bytes()
    with pytest.raises(TrainingError, match=r"already.*--resume"):
        train(few_shapes, run.out, epochs=1, **TINY)
    with pytest.raises(ConfigError, match="differ: epochs, seed"):
        train(few_shapes, run.out, resume=True, epochs=5, seed=1)
    assert (run.out / "checkpoint.pt").read_bytes() == before
    moved = train(few_shapes, run.out, resume=True, device="auto", precision="bf16-mixed", workers=1)
    assert (moved.config.device, moved.config.precision) == ("cpu", "bf16-mixed")  # as on another machine
    next(few_shapes.glob("train/disc/*.png")).unlink()
    with pytest.raises(TrainingError, match="23 now, 24 then"):
        train(few_shapes, run.out, resume=True)


def knn_of(encode: Callable[[NDArray[np.uint8]], NDArray[np.float32]], folder: Path) -> float:
    """Nearest-neighbour accuracy of test against train, written without the library's own measure."""
    arrays = {}
    for split in ("train", "test"):
        paths = sorted((folder / split).glob("*/*.png"))
        pixels = np.stack([np.asarray(Image.open(p).resize((16, 16), Image.Resampling.BICUBIC)) for p in paths])
        x = encode(pixels)
        arrays[split] = x / np.linalg.norm(x, axis=1, keepdims=True), [p.parent.name for p in paths]
    scores = arrays["test"][0] @ arrays["train"][0].T
    right = 0
    for row, truth in zip(scores, arrays["test"][1], strict=True):
        weight: dict[str, float] = {}
        for i in np.argsort(-row)[:20]:
            weight[arrays["train"][1][i]] = weight.get(arrays["train"][1][i], 0) + np.exp(row[i] / 0.07)
        right += max(weight, key=lambda name: weight[name]) == truth
    return right / len(scores)


@pytest.mark.usefixtures("no_export")
def test_a_run_can_start_from_the_backbone_of_another_and_has_its_network(few_shapes: Path, tmp_path: Path) -> None:
    first = train(few_shapes, tmp_path / "first", epochs=2, **{**TINY, "image_size": 24, "view_size": 16})
    own: dict[str, Any] = {"epochs": 1, "method": "byol", "batch_size": 8, "byol": {"hidden": 16, "dim": 8}}
    barely = {"lr": 1e-12, "weight_decay": 0.0}
    second = train(few_shapes, tmp_path / "second", init=str(first.out), seed=5, optimizer=barely, **own)
    for key in ("backbone", "image_size", "view_size"):
        assert getattr(second.config, key) == getattr(first.config, key)
    found = checkpoint.load(second.out / "checkpoint.pt")["method"]
    for name, value in weights(first.out).items():
        if name.endswith("weight"):
            for network in ("online", "teacher"):
                copied = found[name.replace("backbone", f"{network}.0", 1)]
                torch.testing.assert_close(copied, value, atol=1e-6, rtol=0)
    with pytest.raises(ConfigError, match="does not fit"):
        train(
            few_shapes, tmp_path / "third", init=str(first.out), **{**TINY, "backbone": "resnet10t", "image_size": 32}
        )


@pytest.mark.usefixtures("no_export")
def test_the_recipe_is_told_kept_and_gives_way(few_shapes: Path, tmp_path: Path) -> None:
    notes = Notes()
    plain = {key: value for key, value in TINY.items() if key != "batch_size"}
    run = train(few_shapes, tmp_path / "run", minutes=0.005, listener=notes, **plain)
    assert run.config.batch_size == 16
    assert "recipe for 24 images of 16 px: batch_size 16, optimizer.warmup 0.1, simclr.temperature 0.2" in notes.lines
    assert any("batch 16" in line and "simclr" in line for line in notes.lines)
    assert any("temperature 0.2" in line for line in notes.lines)
    assert tomllib.loads((run.out / "config.toml").read_text())["batch_size"] == 16
    assert train(few_shapes, tmp_path / "mine", epochs=1, **{**plain, "batch_size": 6}).config.batch_size == 6
    none = train(few_shapes, tmp_path / "none", epochs=1, recipe="none", **plain)
    assert (none.config.batch_size, none.metrics[-1]["step"]) == (256, 1)  # a batch is at most the collection


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the compiler
def test_a_compiled_run_ends_with_the_same_files(few_shapes: Path, tmp_path: Path) -> None:
    run = train(few_shapes, tmp_path / "run", epochs=1, compile=True, **TINY)
    assert run.encoder.exists()
    assert not any("_orig_mod" in name for name in checkpoint.load(run.out / "checkpoint.pt")["method"])


@pytest.mark.usefixtures("no_export")
def test_labels_that_cannot_be_measured_are_named_and_views_are_compared(few_shapes: Path, tmp_path: Path) -> None:
    one_class, notes = tmp_path / "one", Notes()
    for kind in ("disc", "ring"):
        for path in (few_shapes / "train" / kind).iterdir():
            (one_class / "shape").mkdir(parents=True, exist_ok=True)
            shutil.copy(path, one_class / "shape" / f"{kind}-{path.name}")
    run = train(one_class, tmp_path / "run", labels="folders", epochs=1, listener=notes, **TINY)
    assert any(line.startswith("k-NN is not measured") for line in notes.lines)
    assert run.proof is not None
    assert run.proof.table()[0].split() == ["views", "found"]
    assert "knn_top1" not in run.metrics[-1]
