"""The benchmark for a GPU, on a processor: what it measures, what it does not do twice, what it does not start."""

import json
import os
import signal
import tomllib
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import CliRunner
from PIL import Image

import trainers.run
import trainers.training.finish
from benchmarks import gpu
from benchmarks.gpu_recipes import COMMON, RECIPES
from featurestore.errors import TrainingError
from featurestore.sources import ImageFile
from trainers.config.resolve import resolve
from trainers.data.images import Images
from trainers.methods.simclr import SimCLR


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Bright and dark noise: 12 training and 4 test images."""
    random = np.random.default_rng(0)
    for split, count in (("train", 6), ("test", 2)):
        for label, least in (("bright", 150), ("dark", 0)):
            (tmp_path / "data" / split / label).mkdir(parents=True)
            for number in range(count):
                pixels = random.integers(least, least + 100, (16, 16, 3)).astype(np.uint8)
                Image.fromarray(pixels).save(tmp_path / "data" / split / label / f"{number}.jpg")
    return tmp_path / "data"


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A small network, no encoder file, and the number of images of each step that is trained; timing takes none."""
    seen: list[int] = []
    genuine = SimCLR.loss

    def loss(self: SimCLR, views: Any, at: Any) -> Any:
        seen.append(len(views[0]))
        return genuine(self, views, at)

    monkeypatch.setattr(SimCLR, "loss", loss)
    tiny = {"backbone": "conv4", "image_size": 16, "device": "cpu", "precision": "32-true"}
    monkeypatch.setattr(gpu, "COMMON", {**COMMON, **tiny})
    monkeypatch.setattr(gpu, "find_device", lambda _: "cpu")
    monkeypatch.setattr(gpu, "images_per_second", lambda *_: 100.0)
    monkeypatch.setattr(trainers.training.finish, "export", lambda *_, **__: None)
    monkeypatch.setattr(trainers.run, "draw", lambda *_: None)
    return seen


def measured(folder: Path, out: Path, *arguments: str) -> str:
    given = [str(folder), str(out), "--method", "simclr", "--epochs", "2", *arguments]
    done = CliRunner().invoke(gpu.main, given, catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.stdout


def test_a_finished_method_is_not_trained_again(folder: Path, tmp_path: Path, steps: list[int]) -> None:
    first = measured(folder, tmp_path / "out")
    assert steps == [12, 12]
    figures = json.loads((tmp_path / "out" / "figures.json").read_text())
    found = figures["simclr-2"]
    assert (found["knn"], found["epochs"], found["train_images"], found["test_images"]) == (1.0, 2, 12, 4)
    assert "| simclr | 1.000 (" in first
    assert "| 0.848 (lightly, batch 512) | +15.2 points |" in first
    assert "2 epochs; published: 200" in first
    assert measured(folder, tmp_path / "out") == first
    assert steps == [12, 12]


def test_a_training_without_its_figure_is_resumed(folder: Path, tmp_path: Path, steps: list[int]) -> None:
    measured(folder, tmp_path / "out")
    before = (tmp_path / "out" / "figures.json").read_text()
    (tmp_path / "out" / "figures.json").unlink()
    measured(folder, tmp_path / "out")
    assert steps == [12, 12]
    assert (tmp_path / "out" / "figures.json").read_text() == before


def test_an_interrupted_training_goes_on(
    folder: Path, tmp_path: Path, steps: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    undisturbed = SimCLR.loss

    def loss(self: SimCLR, views: Any, at: Any) -> Any:
        os.kill(os.getpid(), signal.SIGINT)
        return undisturbed(self, views, at)

    given = [str(folder), str(tmp_path / "out"), "--method", "simclr", "--epochs", "2"]
    with monkeypatch.context() as patch:
        patch.setattr(SimCLR, "loss", loss)
        stopped = CliRunner().invoke(gpu.main, given)
    assert stopped.exit_code == 1
    assert "| simclr | not measured | 0.848" in stopped.stdout
    assert steps == [12]
    assert "| simclr | 1.000 (" in measured(folder, tmp_path / "out")
    assert steps == [12, 12]


def test_what_does_not_fit_the_minutes_is_not_started(folder: Path, tmp_path: Path, steps: list[int]) -> None:
    said = measured(folder, tmp_path / "out", "--minutes", "0.5")
    assert "| simclr | not started: about 1.5 minutes are needed, 0.5 are left | 0.848" in said
    assert steps == []
    assert not (tmp_path / "out" / "figures.json").exists()


def test_a_gpu_is_timed_compiled(
    folder: Path, tmp_path: Path, steps: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []

    def profile(source: Path, **settings: Any) -> SimpleNamespace:
        asked.append(settings["config"]["compile"])
        return SimpleNamespace(images_per_second=0.01)

    monkeypatch.setattr(gpu, "find_device", lambda _: "cuda")
    monkeypatch.setattr(gpu, "profile", profile)
    assert "not started: about 41.5 minutes are needed" in measured(folder, tmp_path / "out")
    assert (asked, steps) == ([True], [])


def test_a_method_that_fails_is_named(
    folder: Path, tmp_path: Path, steps: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    def train(*_: Any, **__: Any) -> None:
        raise TrainingError("the loss became nan")

    monkeypatch.setattr(gpu, "train", train)
    assert "| simclr | failed: the loss became nan | 0.848" in measured(folder, tmp_path / "out")


def test_the_vote_is_that_of_the_nearest() -> None:
    def images(*labels: str) -> Images:
        files = tuple(ImageFile(str(n), label, None, 0, 0) for n, label in enumerate(labels))
        return Images(torch.empty(0), files, (), "", held_back=None)

    both = Images(torch.empty(0), images("a", "a", "b").files, (), "", held_back=images("b", "b", "c"))
    bank = np.array([[1, 0], [0.8, 0.6], [0, 1]], np.float32)
    right = gpu.named_rightly(bank, np.array([[0, 1], [1, 0], [0, 1]], np.float32), both)
    assert right.tolist() == [True, False, False]


@pytest.mark.parametrize("method", RECIPES)
def test_recipes_are_settings_of_the_product(method: str) -> None:
    config = resolve(gpu.settings_of(method, 200))
    assert (config.epochs, config.batch_size, config.backbone, config.optimizer.warmup) == (200, 512, "resnet18", 0.0)
    assert config.optimizer.weight_decay_end is None
    assert config.augment.blur == (0.0, 0.0)
    assert resolve(tomllib.loads(config.to_toml()), gpu.settings_of(method, 200)) == config  # so that it can be resumed
    # The published product of rate and decay, for 256 images: a scale of the loss changes both, and not their product.
    assert config.optimizer.lr * config.optimizer.weight_decay == pytest.approx(
        (0.03 if method == "moco-v2" else 0.12) * 5e-4
    )
